"""ONNX models, written by onnx."""

from pathlib import Path

import numpy as np
import onnx


def graph_with_data(location: str, values: int = 3) -> bytes:
    """A model, written by onnx, whose graph keeps tensors in a file of their own."""
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    inside = onnx.numpy_helper.from_array(np.zeros(2_000_000, np.float32), "inside")
    tensors = [
        onnx.numpy_helper.from_array(np.zeros(4, np.float32), f"w{i}") for i in range(values)
    ]
    for tensor in tensors:
        onnx.external_data_helper.set_external_data(tensor, location, offset=0, length=16)
        tensor.ClearField("raw_data")
    graph = onnx.helper.make_graph([node], "g", [x], [y], initializer=[inside, *tensors])
    written: bytes = onnx.helper.make_model(graph).SerializeToString()
    return written


def graph_with_data_inside(constant: str, branch: str) -> bytes:
    """A model whose constant, and whose branches, keep their tensors in files of their own."""

    def tensor(name: str, location: str) -> onnx.TensorProto:
        made = onnx.numpy_helper.from_array(np.zeros(4, np.float32), name)
        onnx.external_data_helper.set_external_data(made, location, offset=0, length=16)
        made.ClearField("raw_data")
        return made

    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [4])
    take = onnx.helper.make_node("Identity", ["w"], ["y"])
    inner = onnx.helper.make_graph([take], "inner", [], [y], initializer=[tensor("w", branch)])
    nodes = [
        onnx.helper.make_node("Constant", [], ["c"], value=tensor("v", constant)),
        onnx.helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner),
    ]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.BOOL, [1])
    graph = onnx.helper.make_graph(nodes, "g", [x], [y])
    written: bytes = onnx.helper.make_model(graph).SerializeToString()
    return written


def int8_weights(graph: Path, least_values: int = 4096) -> bytes:
    """A model with the tensors of another one's data file as 8-bit integers, inside the graph."""
    model = onnx.load(graph)
    kept, added, nodes = [], [], []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < least_values:
            kept.append(tensor)
            continue
        scale = np.float32(np.abs(values).max() / 127)
        whole = np.clip(np.round(values / scale), -127, 127).astype(np.int8)
        names = [f"{tensor.name}.int8", f"{tensor.name}.scale"]
        added.append(onnx.numpy_helper.from_array(whole, names[0]))
        added.append(onnx.numpy_helper.from_array(np.asarray(scale), names[1]))
        nodes.append(onnx.helper.make_node("DequantizeLinear", names, [tensor.name]))
    nodes += model.graph.node
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend((*kept, *added))
    model.graph.node.extend(nodes)
    written: bytes = model.SerializeToString()
    return written


def little_graph() -> bytes:
    """A model that returns its input."""
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    written: bytes = onnx.helper.make_model(graph).SerializeToString()
    return written

"""ONNX models, written by onnx."""

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

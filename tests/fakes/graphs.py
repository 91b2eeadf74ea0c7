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

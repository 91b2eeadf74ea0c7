"""The exported graph: small, valid, and only references into the pinned weights."""

import json
import shutil
import struct
from pathlib import Path

import onnx
import pytest

GRAPH = Path(__file__).parents[3] / "kits/sbert-minilm/graph/model.onnx"


@pytest.fixture(scope="module")
def model():
    return onnx.load(GRAPH, load_external_data=False)


def test_the_graph_is_valid(onnx_folder, tmp_path):
    """ONNX's own checker passes, with shapes inferred and the weights followed."""
    # Copies: it refuses external data with more than one hard link.
    for name in ("model.onnx", "model.safetensors"):
        shutil.copy(onnx_folder / name, tmp_path)
    onnx.checker.check_model(str(tmp_path / "model.onnx"), full_check=True)


def test_every_parameter_is_a_range_of_the_weights(model, onnx_folder):
    """Each float parameter is exactly the tensor of its name in model.safetensors."""
    with (onnx_folder / "model.safetensors").open("rb") as stream:
        (header_bytes,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(header_bytes))
    size_bytes = (onnx_folder / "model.safetensors").stat().st_size
    floats = [item for item in model.graph.initializer if item.data_type == onnx.TensorProto.FLOAT]
    for item in floats:
        found = {entry.key: entry.value for entry in item.external_data}
        start, end = header[item.name]["data_offsets"]
        assert header[item.name]["dtype"] == "F32"
        assert header[item.name]["shape"] == list(item.dims)
        assert found == {
            "location": "model.safetensors",
            "offset": str(8 + header_bytes + start),
            "length": str(end - start),
        }
        assert 8 + header_bytes + end <= size_bytes
        assert not item.raw_data
    # Every parameter of the encoder: all that the file holds but the position ids, which the graph
    # carries, and the pooler, which sentence-transformers does not use.
    unused = {"__metadata__", "embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"}
    assert {item.name for item in floats} == header.keys() - unused


def test_the_graph_carries_no_weights_and_no_paths(model):
    """The file is small, and holds neither float tensors in its nodes nor traces of its making."""
    assert GRAPH.stat().st_size < 2_000_000
    for node in model.graph.node:
        assert not node.doc_string
        assert not node.metadata_props
        for attribute in node.attribute:
            assert attribute.t.data_type != onnx.TensorProto.FLOAT or len(attribute.t.dims) == 0
    assert not model.metadata_props


def test_inputs_and_output_are_free_in_batch_and_length(model):
    """Three int64 inputs of any batch size and length, one output of 384 dimensions."""

    def described(values):
        return {
            value.name: (
                value.type.tensor_type.elem_type,
                [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim],
            )
            for value in values
        }

    int64, free = onnx.TensorProto.INT64, ["batch", "sequence"]
    names = ("input_ids", "attention_mask", "token_type_ids")
    assert described(model.graph.input) == dict.fromkeys(names, (int64, free))
    expected = {"last_hidden_state": (onnx.TensorProto.FLOAT, [*free, 384])}
    assert described(model.graph.output) == expected

"""What headers say of a model, and headers that lie."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import SourceError
from mealkit.memory.shape import Quantisation, Shape
from mealkit.recipe.lock import ModelShape
from mealkit.sources.formats import Format
from mealkit.sources.gguf import read_gguf
from mealkit.sources.ranges import FileRanges
from mealkit.sources.read_shape import ModelFile, shape_of
from mealkit.sources.safetensors import read_safetensors


class Memory:
    """A range reader over bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


def file(path: str, form: Format, data: bytes) -> ModelFile:
    return ModelFile(path, form, Memory(data))


SMALL = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 8}


def config_file(config: object) -> ModelFile:
    return file("config.json", "json", json.dumps(config).encode())


def known(shape: ModelShape) -> Shape:
    assert shape.described is not None
    return shape.described


def header(form: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(form).encode()
    return struct.pack("<Q", len(text)) + text + data


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SourceError) as error:
        call()
    return error.value.problems[0].code


def test_shards_are_added_up(safetensors: Callable[..., bytes]) -> None:
    """Parameters and bytes by dtype are summed over all files."""
    one = safetensors({"a": ("F32", [2, 3], 24), "b": ("I64", [1], 8)})
    two = safetensors({"c": ("BF16", [4], 8), "d": ("F32", [], 4)})
    graph = file("model.onnx", "onnx", bytes(5))
    shape = shape_of(
        [file("1", "safetensors", one), file("2", "safetensors", two), config_file(SMALL), graph]
    )
    assert shape.parameters == 6 + 1 + 4 + 1
    assert known(shape).bytes_by_dtype == {"BF16": 8, "F32": 28, "I64": 8, "ONNX": 5}


def test_parts_whose_tensors_share_their_names_are_all_counted(
    safetensors: Callable[..., bytes],
) -> None:
    """A model in two folders has both folders' bytes."""
    one = safetensors({"a": ("F32", [2, 3], 24)})
    files = [file(f"{name}/model", "safetensors", one) for name in ("query", "passage")]
    shape = shape_of([*files, config_file(SMALL)])
    assert shape.parameters == 12
    assert known(shape).bytes_by_dtype == {"F32": 48}


@pytest.mark.parametrize(
    "tensor",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]},
        {"dtype": "F32", "shape": [1]},
        {"dtype": "F32", "shape": 1, "data_offsets": [0, 4]},
        "tensor",
    ],
)
def test_a_header_that_contradicts_itself_is_damaged(tensor: object) -> None:
    """Offsets, shapes and types must agree with each other."""
    data = header({"w": tensor}, b"\0" * 4)
    assert code_of(lambda: read_safetensors("w", Memory(data))) == "WEIGHTS_DAMAGED"


def test_a_file_that_is_cut_or_longer_is_damaged(safetensors: Callable[..., bytes]) -> None:
    """The tensors must fill the file, no more and no less."""
    data = safetensors({"a": ("F32", [2], 8), "b": ("F32", [2], 8)})
    for wrong in (data[:-1], data + b"\0", data[:40], data[:7], b""):
        assert (
            code_of(lambda wrong=wrong: read_safetensors("w", Memory(wrong))) == "WEIGHTS_DAMAGED"
        )


def test_overlapping_tensors_and_double_names_are_damaged() -> None:
    """Two tensors may not share bytes, nor a name."""
    tensor = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    overlapping = header({"a": tensor, "b": tensor}, b"\0" * 4)
    text = f'{{"a": {json.dumps(tensor)}, "a": {json.dumps(tensor)}}}'.encode()
    double = struct.pack("<Q", len(text)) + text + b"\0" * 4
    for wrong in (overlapping, double):
        assert (
            code_of(lambda wrong=wrong: read_safetensors("w", Memory(wrong))) == "WEIGHTS_DAMAGED"
        )


def test_deep_json_is_damaged_not_a_crash() -> None:
    """A header nested without end is refused like any other."""
    text = b'{"a":' + b"[" * 200_000
    data = struct.pack("<Q", len(text)) + text
    assert code_of(lambda: read_safetensors("w", Memory(data))) == "WEIGHTS_DAMAGED"


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_readers(data: bytes) -> None:
    """Whatever stands in a file, the answer is a result or a SourceError."""
    for read, prefix in ((read_safetensors, b""), (read_gguf, b"GGUF\x03\0\0\0")):
        try:
            read("w", Memory(prefix + data))
        except SourceError as error:
            assert error.problems[0].code in ("WEIGHTS_DAMAGED", "WEIGHTS_FORMAT")  # noqa: PT017


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(
    metadata: dict[str, bytes], tensors: list[tuple[str, list[int], int, int]], data: bytes = b""
) -> bytes:
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += text(key) + value
    for name, dimensions, kind, offset in tensors:
        out += text(name) + struct.pack("<I", len(dimensions))
        out += b"".join(struct.pack("<Q", item) for item in dimensions)
        out += struct.pack("<IQ", kind, offset)
    return out + b"\0" * (-len(out) % 32) + data


def u32(value: int) -> bytes:
    return struct.pack("<II", 4, value)


def words(*values: str) -> bytes:
    return struct.pack("<IIQ", 9, 8, len(values)) + b"".join(text(value) for value in values)


LLAMA = {
    "general.architecture": struct.pack("<I", 8) + text("llama"),
    "llama.block_count": u32(2),
    "llama.embedding_length": u32(64),
    "llama.feed_forward_length": u32(128),
    "llama.attention.head_count": u32(8),
    "llama.attention.head_count_kv": struct.pack("<IIQ", 9, 4, 2) + struct.pack("<II", 2, 4),
    "llama.context_length": u32(4096),
    "tokenizer.ggml.tokens": words("a", "b", "c"),
    "llama.rope.freq_base": struct.pack("<If", 6, 10000.0),
    "tokenizer.ggml.scores": struct.pack("<IIQ", 9, 6, 5000) + bytes(20_000),
}


def test_gguf_says_what_the_model_is() -> None:
    """Metadata gives the shape, tensor infos the parameters and bytes by dtype."""
    tensors = [("w", [64, 4], 8, 0), ("b", [8], 0, 288)]
    data = gguf(LLAMA, tensors, bytes(288 + 32))
    found = shape_of([file("model.gguf", "gguf", data), config_file({"n_layer": 99})])
    shape = known(found)
    assert found.architecture == "llama"
    assert found.max_positions == 4096
    assert found.parameters == 256 + 8
    assert (shape.layers, shape.hidden_size, shape.intermediate_size) == (2, 64, 128)
    assert (shape.heads, shape.kv_heads, shape.head_dimension) == (8, 4, 8)
    assert (shape.vocabulary, shape.max_positions) == (3, 4096)
    assert shape.bytes_by_dtype == {"F32": 32, "Q8_0": 272}
    assert shape.quantisation == Quantisation("gguf", 8 * 304 / 264)


def test_a_gguf_that_lies_is_damaged() -> None:
    """Tensors beyond the end, unknown types, cut headers and endless counts are refused."""
    tensors = [("w", [64, 4], 8, 0)]
    whole = gguf(LLAMA, tensors, bytes(272))
    wrongs = [
        whole[:-1],
        whole[:100],
        gguf(LLAMA, [("w", [64, 4], 99, 0)], bytes(272)),
        gguf(LLAMA, [("w", [3], 8, 0)], bytes(272)),
        gguf(LLAMA, [("w", [1] * 9, 0, 0)], bytes(272)),
        gguf({"general.alignment": u32(0)}, tensors, bytes(272)),
        gguf({"x": struct.pack("<I", 77)}, []),
        gguf({"x": struct.pack("<IIQ", 9, 0, 2**60)}, []),
        gguf({"x": struct.pack("<IIQ", 9, 9, 1)}, []),
        b"GGUF" + struct.pack("<IQQ", 3, 2**40, 0),
    ]
    for wrong in wrongs:
        assert code_of(lambda wrong=wrong: read_gguf("w", Memory(wrong))) == "WEIGHTS_DAMAGED"
    old = b"GGUF" + struct.pack("<IQQ", 1, 0, 0)
    assert code_of(lambda: read_gguf("w", Memory(old))) == "WEIGHTS_FORMAT"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {"heads": 8, "kv_heads": 8, "head_dimension": 8}),
        (
            {"head_dim": 128, "num_key_value_heads": 2},
            {"kv_heads": 2, "head_dimension": 128},
        ),
        ({"multi_query": True}, {"kv_heads": 1}),
        ({"text_config": {"num_hidden_layers": 7}}, {"layers": 7}),
        ({"vocab_size": -1}, {"vocabulary": 0}),
    ],
)
def test_config_json_gives_the_shape(config: dict[str, Any], expected: dict[str, Any]) -> None:
    """head_dim is read first; what is missing or no number has its most expensive value."""
    shape = known(shape_of([config_file({**SMALL, **config})]))
    assert {name: getattr(shape, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"architectures": ["Two"], "n_ctx": 512}, ("Two", 512)),
        ({"model_type": "bert", "text_config": {"n_positions": 77}}, ("bert", 77)),
        ({"hidden_size": "64", "architectures": []}, (None, None)),
        ([], (None, None)),
    ],
)
def test_too_little_to_count_with(config: object, expected: tuple[str | None, int | None]) -> None:
    """The name and the longest input are kept even of a model that cannot be estimated."""
    shape = shape_of([config_file(config)])
    assert (shape.architecture, shape.max_positions) == expected
    assert shape.described is None


def test_the_topmost_config_counts() -> None:
    """Of several config.json files, the one of the whole model is read."""
    files = [
        file("1_Pooling/config.json", "json", b'{"n_positions": 1}'),
        file("config.json", "json", b'{"n_positions": 2}'),
    ]
    assert shape_of(files).max_positions == 2


def test_a_config_that_is_no_json_is_damaged() -> None:
    """A config.json that cannot be read is not passed over."""
    assert code_of(lambda: shape_of([file("config.json", "text", b"{,")])) == "WEIGHTS_DAMAGED"


@pytest.mark.online
def test_the_real_model_has_its_shape(minilm_files: Path) -> None:
    """all-MiniLM-L6-v2: 22.7 million parameters, six layers of twelve heads."""
    found = shape_of(
        [
            ModelFile(name, form, FileRanges(minilm_files / name))
            for name, form in (("model.safetensors", "safetensors"), ("config.json", "json"))
        ]
    )
    shape = known(found)
    assert found.architecture == "BertModel"
    assert found.parameters == 22_713_728
    assert not shape.generates
    assert shape.bytes_by_dtype == {"F32": 90_852_864, "I64": 4096}
    assert (shape.layers, shape.heads, shape.head_dimension) == (6, 12, 32)
    assert (shape.vocabulary, shape.max_positions) == (30522, 512)

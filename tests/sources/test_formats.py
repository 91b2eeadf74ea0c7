"""What a file is, by its content: pickles are found under any name, and nothing else is called one."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fakes.graphs import graph_with_data, graph_with_data_inside

from mealkit.errors import SourceError
from mealkit.sources.formats import classify
from mealkit.sources.protobuf import external_files
from mealkit.sources.ranges import FileRanges


class Harmful:
    """What an attacker would pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("run",))


def torch_zip(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/data/0", b"\0" * 4000)
    return stream.getvalue()


def torch_legacy() -> bytes:
    magic, protocol = 0x1950A86A20F9469CFC6C, 1001
    return b"".join(
        pickle.dumps(item, protocol=2) for item in (magic, protocol, {"little": True}, Harmful())
    )


def npy(array: "np.ndarray[object, object]") -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, a=np.array([{"x": 1}], dtype=object))
    return stream.getvalue()


PICKLES = {
    **{f"protocol {number}": pickle.dumps(Harmful(), protocol=number) for number in range(6)},
    **{
        f"data, protocol {number}": pickle.dumps({"w": [1.0, 2.0, "x"]}, protocol=number)
        for number in range(6)
    },
    "long, protocol 0": pickle.dumps({str(n): n for n in range(20_000)}, protocol=0),
    "long, protocol 1": pickle.dumps({str(n): n for n in range(20_000)}, protocol=1),
    "broken after the call": b"cbuiltins\nprint\n(S'run'\ntR and then no pickle at all",
    "items left on the stack": b"I1\nI2\ncbuiltins\nprint\n(S'run'\ntR.",
    "INST": b"(S'run'\nibuiltins\nprint\n.",
    "torch": torch_zip(pickle.dumps(Harmful(), protocol=2)),
    "torch, legacy": torch_legacy(),
    "numpy objects": npy(np.array([{"x": 1}], dtype=object)),
    "numpy archive of objects": npz(),
    "that begins as GGUF": b"GGUF\3\0\0\0\0" + b"0cbuiltins\nprint\n(S'run'\ntR.",
    "that begins as safetensors": b"B\x10\0\0\0\0\0\0{" + bytes(12) + b"0cbuiltins\nprint\n(tR.",
    "optimised": pickletools.optimize(pickle.dumps(Harmful(), protocol=4)),
}


def ranges_of(folder: Path, data: bytes) -> FileRanges:
    path = folder / "content"
    path.write_bytes(data)
    return FileRanges(path)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.bin", "vocab.txt", "config.json", "x"]
)
@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_refused_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    """Every kind of pickle is refused whatever it is called."""
    with pytest.raises(SourceError) as error:
        classify(name, ranges_of(tmp_path, PICKLES[kind]))
    assert error.value.problems[0].code == "WEIGHTS_PICKLE"
    assert name in error.value.problems[0].message


@pytest.mark.parametrize("kind", PICKLES)
def test_a_pickle_is_accepted_when_the_kit_says_so(tmp_path: Path, kind: str) -> None:
    """With allow_pickle, a pickle is called what it is."""
    ranges = ranges_of(tmp_path, PICKLES[kind])
    assert classify("model.bin", ranges, allow_pickle=True) == "pickle"


@pytest.mark.parametrize("name", ["a.bin", "a.PT", "a.pth", "a.pkl", "a.joblib", "a.ckpt"])
@pytest.mark.parametrize(
    "data",
    [b"plain text", b"{}", b"\x1f\x8b" + bytes(50), bytes(100)],
    ids=["text", "json", "gzip", "zeros"],
)
def test_a_pickle_name_is_refused_unless_the_content_is_known(
    tmp_path: Path, name: str, data: bytes
) -> None:
    """Loaders unpickle what has such a name, so only known weight formats may bear it."""
    with pytest.raises(SourceError) as error:
        classify(name, ranges_of(tmp_path, data))
    assert error.value.problems[0].code == "WEIGHTS_PICKLE"


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors", "a"])
def test_safetensors_are_known_under_any_name(
    tmp_path: Path, safetensors: Callable[..., bytes], name: str
) -> None:
    """Content decides for safetensors too."""
    data = safetensors({"w": ("F32", [4], 16)})
    assert classify(name, ranges_of(tmp_path, data)) == "safetensors"


TEXTS = {
    "prose": "A sentence, and another one: größer.\n",
    "vocabulary": "[PAD]\n[UNK]\nthe\nin\nis\ncat\ndog\nRun\nb\n.\n",
    "vocabulary from i": "in\nis\nRun\nb.\n",
    "vocabulary from c": "cat\ndog\ntree\nR\n.",
    "abbreviation": "N.B. this is text",
    "merges": "#version: 0.2\ni n\nt h\n",
    "template": "{%- for message in messages %}{{ message.content }}{% endfor %}",
    "jinja": '{{ "a" }}',
    "numbers": "000.5\n0.1\n",
    "one letter": "t",
    "licence": "Apache License\nVersion 2.0\n",
    "empty": "",
    "long": "word and word, größer\n" * 5000,
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_is_text(tmp_path: Path, kind: str) -> None:
    """Words that happen to begin with pickle opcodes are still words."""
    assert classify("file.txt", ranges_of(tmp_path, TEXTS[kind].encode())) == "text"


def test_json_is_json(tmp_path: Path) -> None:
    """Small JSON is parsed; of large JSON the beginning decides."""
    large = json.dumps({"vocab": {str(number): number for number in range(20_000)}}).encode()
    for data in (b'{"a": 1}', b"[1, 2]", large, b"[" + large + b"]", b"\xef\xbb\xbf{}"):
        assert classify("tokenizer.json", ranges_of(tmp_path, data)) == "json"


def test_a_character_cut_by_the_window_is_text(tmp_path: Path) -> None:
    """A multi-byte character across the end of what is read does no harm."""
    for shift in range(4):
        text = "a" * (16 * 1024 - shift) + "🙂" * 10
        assert classify("x.txt", ranges_of(tmp_path, text.encode())) == "text"


def test_gguf_is_known(tmp_path: Path) -> None:
    """GGUF says so itself."""
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, 0)
    assert classify("model.gguf", ranges_of(tmp_path, data)) == "gguf"


def test_an_onnx_model_is_known(tmp_path: Path) -> None:
    """A model written by onnx is ONNX under any name; one that is cut or extended is not."""
    onnx = pytest.importorskip("onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    weights = onnx.numpy_helper.from_array(np.zeros(50_000, np.float32), "w")
    graph = onnx.helper.make_graph([node], "g", [x], [y], initializer=[weights])
    data = onnx.helper.make_model(graph, producer_name="test").SerializeToString()
    assert classify("model.bin", ranges_of(tmp_path, data)) == "onnx"
    for wrong in (data[:-1], data + b"\xff"):
        with pytest.raises(SourceError) as error:
            classify("model.onnx", ranges_of(tmp_path, wrong))
        assert error.value.problems[0].code == "WEIGHTS_FORMAT"


def test_a_graph_names_its_data(tmp_path: Path) -> None:
    """The names stand in the tensors, behind as many bytes as there are; nothing else is one."""
    data = graph_with_data("weights/model.onnx.data")
    assert external_files(ranges_of(tmp_path, data)) == {"weights/model.onnx.data"}
    assert external_files(ranges_of(tmp_path, graph_with_data("w", values=0))) == set()
    assert external_files(ranges_of(tmp_path, graph_with_data_inside("a.data", "b.data"))) == {
        "a.data",
        "b.data",
    }
    assert external_files(ranges_of(tmp_path, b"no protocol buffer")) == set()
    for end in range(len(data) - 300, len(data)):
        external_files(ranges_of(tmp_path, data[:end]))  # whatever is cut, it ends


@pytest.mark.parametrize("first", [128, 384, 896, 1152])
def test_small_numbers_are_no_pickle(tmp_path: Path, first: int) -> None:
    """An int64 may begin as a protocol of pickles does; what follows is no opcode."""
    numbers = ranges_of(tmp_path, np.full(20, first, np.int64).tobytes())
    assert classify("model.onnx.data", numbers, is_graph_data=lambda: True) == "onnx-data"


def test_only_numbers_are_a_graphs_data(tmp_path: Path) -> None:
    """A pickle is a pickle, whoever names it."""
    numbers = ranges_of(tmp_path, bytes(100))
    assert classify("model.onnx.data", numbers, is_graph_data=lambda: True) == "onnx-data"
    with pytest.raises(SourceError) as error:
        classify("model.data", ranges_of(tmp_path, PICKLES["torch"]), is_graph_data=lambda: True)
    assert error.value.problems[0].code == "WEIGHTS_PICKLE"


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(b"x" * 100, mtime=0),
        bz2.compress(b"x" * 100),
        bytes(100),
        b"\x7fELF" + bytes(60),
        b"text with a \0 byte",
        npy(np.zeros(4)),
        "größer".encode("latin-1"),
    ],
    ids=["gzip", "bzip2", "zeros", "program", "text with zero", "array", "latin-1"],
)
def test_anything_else_is_refused(tmp_path: Path, data: bytes) -> None:
    """What is none of the known formats is refused by that name."""
    with pytest.raises(SourceError) as error:
        classify("weights", ranges_of(tmp_path, data))
    assert error.value.problems[0].code == "WEIGHTS_FORMAT"


LFS = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


@pytest.mark.parametrize(
    ("name", "data", "said", "hint"),
    [
        ("model.safetensors", LFS, "a Git LFS pointer", "git lfs pull"),
        ("tokenizer.json", LFS, "a Git LFS pointer", "git lfs pull"),
        ("words.txt", LFS.replace(b"\n", b"\r\n"), "a Git LFS pointer", "git lfs pull"),
        ("model.bin", LFS, "a Git LFS pointer", "git lfs pull"),
        (
            "a.onnx",
            b"version http://git-media.io/v/2\noid x\n",
            "a Git LFS pointer",
            "git lfs pull",
        ),
        ("a.bin", b"/annex/objects/SHA256E-s12--ab.bin\n", "a git-annex pointer", "git annex get"),
        ("a.bin", b"../.git/annex/objects/f/SHA256E-s1", "a git-annex pointer", "git annex get"),
        ("model.safetensors", b"<!doctype html>", "text, not safetensors", "download"),
        ("model.GGUF", b"404: Not Found", "text, not GGUF", "download"),
        ("model.onnx", b"{}", "text, not ONNX", "download"),
        ("model.safetensors", b"", "is empty, not safetensors", "download"),
    ],
)
def test_what_stands_for_another_file_is_refused(tmp_path: Path, name, data, said, hint) -> None:
    """A pointer under any name, and text under the name of a binary format."""
    with pytest.raises(SourceError) as error:
        classify(name, ranges_of(tmp_path, data), allow_pickle=True)
    (problem,) = error.value.problems
    assert problem.code == "WEIGHTS_FORMAT"
    assert said in problem.message
    assert hint in problem.hint


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(60)


@pytest.mark.parametrize(
    ("name", "data", "form"),
    [
        ("blank.png", PNG, "data"),
        ("tones.wav", b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), "data"),
        ("font.ttf", b"\0\1\0\0" + bytes(60), "data"),
        ("mean.npy", npy(np.zeros(4)), "data"),
        ("words.txt.gz", gzip.compress(b"words " * 50, mtime=0), "data"),
        ("words.bz2", bz2.compress(b"words " * 50), "data"),
        ("settings.json", b"{}", "json"),
        ("model.pt", PICKLES["torch"], "WEIGHTS_PICKLE"),
        ("array.npy", npy(np.array([{}], dtype=object)), "WEIGHTS_PICKLE"),
        ("gzip.dat", gzip.compress(pickle.dumps([print] * 9), mtime=0), "WEIGHTS_PICKLE"),
        ("bz2.dat", bz2.compress(pickle.dumps([print] * 9)), "WEIGHTS_PICKLE"),
        ("xz.dat", lzma.compress(pickle.dumps([print] * 9)), "WEIGHTS_PICKLE"),
        ("zlib.dat", zlib.compress(pickle.dumps([print] * 9)), "WEIGHTS_PICKLE"),
        ("a.pth", PNG, "data"),
        ("a.joblib", PNG, "WEIGHTS_PICKLE"),
        ("a.zst", b"\x28\xb5\x2f\xfd" + bytes(60), "WEIGHTS_FORMAT"),
        ("lib.so", b"\x7fELF" + bytes(60), "WEIGHTS_FORMAT"),
    ],
)
def test_own_code_reads_any_data_but_pickles_and_programs(tmp_path: Path, name, data, form) -> None:
    """Pictures, sounds, fonts and arrays; also compressed, unless a pickle is inside."""
    try:
        found = str(classify(name, ranges_of(tmp_path, data), any_data=True))
    except SourceError as error:
        found = error.problems[0].code
    assert found == form


def test_a_text_about_pointers_is_text(tmp_path: Path) -> None:
    """Only a file that begins as one is a pointer."""
    assert classify("notes.txt", ranges_of(tmp_path, b"# " + LFS)) == "text"


def test_a_cut_archive_is_damaged(tmp_path: Path) -> None:
    """An archive without its directory is not taken for harmless."""
    with pytest.raises(SourceError) as error:
        classify("model.pt", ranges_of(tmp_path, PICKLES["torch"][:-30]))
    assert error.value.problems[0].code == "WEIGHTS_DAMAGED"

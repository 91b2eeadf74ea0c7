"""Headers that were made to cost: each ends in a problem that names the file, after bounded work."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.engines import estimate, memory_of

from mealkit.errors import MealkitError, SourceError
from mealkit.memory.setting import Setting
from mealkit.sources.formats import classify
from mealkit.sources.gguf import ArrayLength, read_gguf
from mealkit.sources.protobuf import external_files, is_onnx
from mealkit.sources.ranges import FileRanges
from mealkit.sources.read_shape import ModelFile, read_config, shape_of
from mealkit.sources.safetensors import read_safetensors
from mealkit.sources.zip_archive import require_directory
from mealkit.untrusted import UntrustedError

MIB = 2**20


class Counted:
    """A file of pieces that are made as they are asked for; counts how much that is."""

    def __init__(self, head: bytes, size_bytes: int | None = None, filler: bytes = b"\0") -> None:
        self.head = head
        self.size_bytes = len(head) if size_bytes is None else size_bytes
        self.filler = filler
        self.reads = 0
        self.read_bytes = 0

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size_bytes - offset))
        self.reads += 1
        self.read_bytes += length
        piece = self.head[offset : offset + length]
        missing = length - len(piece)
        start = max(offset, len(self.head)) % len(self.filler)
        rest = (self.filler * (missing // len(self.filler) + 2))[start : start + missing]
        return piece + rest


def refused(call: Callable[[], object]) -> str:
    """Return what a problem says of a damaged file; it names the file."""
    with pytest.raises(SourceError) as error:
        call()
    (found,) = error.value.problems
    assert found.code == "WEIGHTS_DAMAGED"
    assert found.where == "model"
    assert found.message.startswith("model")
    return found.message


def safetensors(text: bytes) -> Counted:
    return Counted(struct.pack("<Q", len(text)) + text)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def gguf(body: bytes, *, tensors: int = 0, entries: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, entries) + body


TENSOR = b'{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b'{"a":' + b"[" * 10_000_000, "a member is larger than"),
        (b'{"' + b"\\" * 10_000_000, "a member is larger than"),
        (b"{" + b" " * 10_000_000 + b"}", "a member is larger than"),
        (b'{"__metadata__":{"a":"' + b"x" * 10_000_000 + b'"}}', "a member is larger than"),
        (b'{"a":{"dtype":"U8","shape":[' + b"1," * 300_000 + b"1],}", "not valid"),
        (
            b'{"a":{"dtype":"U8","shape":[' + b"1," * 65 + b'1],"data_offsets":[0,1]}}',
            "'a' has 66 dimensions",
        ),
        (
            b'{"a":{"dtype":"U8","shape":[%d],"data_offsets":[0,0]}}' % 2**64,
            "are not whole numbers",
        ),
        (b'{"a":{"dtype":"U8","shape":[1e999],"data_offsets":[0,0]}}', "is too large"),
        (b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,0]}}', "NaN is not JSON"),
        (b'{"a":{"dtype":["U8"],"shape":[],"data_offsets":[0,0]}}', "not valid"),
        (b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,0,0]}}', "not valid"),
        (b'{"\x1b[31m\\n":null}', "not valid"),
    ],
    ids=range(12),
)
def test_a_safetensors_header_that_costs_is_damaged(header: bytes, says: str) -> None:
    """Depth, members without end, numbers without end and wrong types are one problem each."""
    message = refused(lambda: read_safetensors("model", safetensors(header)))
    assert says in message
    assert message.isprintable()


def test_too_many_tensors_are_refused_before_they_are_all_read() -> None:
    """A header of millions of tensors is left where there are more than any model has."""
    unit = b'"%08d":' + TENSOR + b","
    body = b"".join(unit % number for number in range(260_000))
    ranges = safetensors(b"{" + body + b'"z":' + TENSOR + b"}")
    assert "more than 200000 tensors" in refused(lambda: read_safetensors("model", ranges))
    assert ranges.read_bytes < ranges.size_bytes


def test_names_have_a_bound_together() -> None:
    """A name may be long, but names may not take more than all models' together."""
    names = (b'"%d%s":' % (number, b"n" * 900_000) + TENSOR for number in range(20))
    ranges = safetensors(b"{" + b",".join(names) + b"}")
    assert "names take more than" in refused(lambda: read_safetensors("model", ranges))


def test_a_header_is_the_same_in_pieces_and_whole() -> None:
    """A header of several pieces, with a large __metadata__, gives every tensor."""
    header: dict[str, Any] = {
        f"layer.{number}.weight": {
            "dtype": "F32",
            "shape": [1],
            "data_offsets": [4 * number, 4 * number + 4],
        }
        for number in range(30_000)
    }
    protocol = {"__metadata__": {"tags": '{"a": "}"}' * 150_000}}
    encoded = json.dumps({**protocol, **header}, indent=1).encode()
    ranges = safetensors(encoded)
    ranges.size_bytes += 4 * 30_000
    found = read_safetensors("model", ranges)
    assert found.parameters == 30_000
    assert list(found.by_name) == list(header)
    assert ranges.reads > 3
    doubled = encoded[:-1] + b', "layer.0.weight": ' + TENSOR + b"}"
    twice = safetensors(doubled)
    assert "twice" in refused(lambda: read_safetensors("model", twice))


def test_gguf_counts_that_no_model_has_are_refused_at_once() -> None:
    """Of a header that states too much, nothing but the statement is read."""
    tokens = text(b"t") + struct.pack("<IIQ", 9, 8, 2**40)
    for data in (
        gguf(b"", tensors=2**40),
        gguf(b"", entries=2**40),
        gguf(tokens),
        gguf(text(b"t") + struct.pack("<IIQ", 9, 0, 2**62)),
        gguf(text(b"t") + struct.pack("<IQ", 8, 2**63)),
        gguf(struct.pack("<Q", 2**63)),
        gguf(text(b"t") + struct.pack("<IIQ", 9, 9, 2**30)),
        gguf(struct.pack("<Q", 2**63), tensors=1, entries=0),
        gguf(text(b"w") + struct.pack("<I", 2**31), tensors=1, entries=0),
    ):
        ranges = Counted(data, 2**40)
        refused(lambda ranges=ranges: read_gguf("model", ranges))
        assert ranges.read_bytes < MIB


def test_gguf_metadata_is_kept_as_far_as_it_is_of_use() -> None:
    """Texts without end are passed over, arrays of numbers are kept up to a bound."""
    long = gguf(text(b"t") + struct.pack("<IQ", 8, 400_000_000))
    ranges = Counted(long, len(long) + 400_000_000)
    assert read_gguf("model", ranges).metadata == {"t": ArrayLength(400_000_000)}
    assert ranges.read_bytes < MIB
    array = struct.pack("<IIQ", 9, 0, 4096) + bytes(4096)
    arrays = gguf(b"".join(text(b"%d" % n) + array for n in range(200)), entries=200)
    assert "metadata takes more than" in refused(lambda: read_gguf("model", Counted(arrays)))


def test_gguf_tensors_share_no_bytes() -> None:
    """Tensors that together are larger than the file are not all in it."""
    tensor = struct.pack("<IQIQ", 1, 8, 0, 0)
    body = b"".join(text(b"%d" % number) + tensor for number in range(3))
    data = gguf(body, tensors=3, entries=0)
    data += bytes(-len(data) % 32)
    assert "tensors end at" in refused(lambda: read_gguf("model", Counted(data + bytes(64))))
    read_gguf("model", Counted(data + bytes(96)))


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


LOCATION = field(13, field(1, b"location") + field(2, b"x.data"))


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        (field(99, b"") * 900_000, "steps"),
        (field(1, b"") * 2_600_000, "steps"),
        (b"\x48" + b"\xff" * 9 + b"\x01", None),
        (field(5, b"\xff" * 1000), None),
        (b"".join(field(5, LOCATION[:-1] + bytes([33 + n % 90])) for n in range(100)), None),
        (
            b"".join(
                field(5, field(13, field(1, b"location") + field(2, b"%d" % n)))
                for n in range(10_001)
            ),
            "more than 10000 files",
        ),
    ],
    ids=range(6),
)
def test_a_graph_ends_after_bounded_work(graph: bytes, says: str | None) -> None:
    """Millions of fields, varints without end and names without end are not gone through."""
    ranges = Counted(field(7, graph))
    if says is None:
        external_files(ranges)
    else:
        with pytest.raises(UntrustedError, match=says):
            external_files(ranges)


def test_a_graph_is_read_once_from_its_beginning_to_its_end() -> None:
    """Graphs within graphs do not make a reader come back to bytes; deep ones are left."""
    graph = LOCATION
    for _ in range(20):
        graph = field(1, field(5, field(6, field(5, LOCATION) + graph)))
    ranges = Counted(field(7, field(5, field(9, bytes(5 * MIB))) + graph + field(5, LOCATION)))
    assert external_files(ranges) == {"x.data"}
    assert ranges.read_bytes < 3 * MIB
    for _ in range(100):
        graph = field(1, field(5, field(6, graph)))
    assert external_files(Counted(field(7, graph))) == frozenset()


def test_fields_far_from_each_other_cost_no_more_than_their_number() -> None:
    """What passes for a model's fields, each beyond the next window, is left after some."""
    fields = b"\x08\x01" + field(7, b"") + field(25, bytes(20_000)) * 500
    assert not is_onnx(Counted(fields, 2**40))
    assert not is_onnx(Counted(b"\x08\x01" * 30_000 + field(7, b"")))


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as made:
        for name, data in members.items():
            made.writestr(name, data)
    return stream.getvalue()


NPY = b"\x93NUMPY\x01\0"

ARCHIVES = {
    "a directory without end": archive({f"{n}{'x' * 60_000}": b"" for n in range(80)}),
    "no directory": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_that_cannot_be_looked_through_is_damaged(kind: str) -> None:
    """A directory without end, or none, is one problem."""
    message = refused(lambda: classify("model", Counted(ARCHIVES[kind])))
    assert message.isprintable()


CLOSED = {
    "another compression": archive({"a.npy": b"\0" * 100}, zipfile.ZIP_LZMA),
    "encrypted": archive({"a.npy": b"\0" * 100}).replace(b"\x14\0\0\0", b"\x14\0\x01\0"),
    "a method that nobody knows": archive({"a.npy": b"x"}, zipfile.ZIP_DEFLATED).replace(
        b"\x08\0", b"\x63\0"
    ),
}


@pytest.mark.parametrize("kind", CLOSED)
def test_an_archive_that_cannot_be_checked_is_refused_unless_pickles_are_allowed(kind: str) -> None:
    """The problem says what cannot be looked into, and what to do."""
    data = Counted(CLOSED[kind])
    with pytest.raises(SourceError) as error:
        classify("model", data, any_data=True)
    (found,) = error.value.problems
    assert found.code == "WEIGHTS_FORMAT"
    assert "a.npy" in found.message
    assert "cannot be checked for pickles" in found.message
    assert "unpack it" in found.hint
    assert classify("model", data, any_data=True, allow_pickle=True) == "data"


def header(descr: bytes) -> bytes:
    text = b"{'descr': " + descr + b", 'fortran_order': False, 'shape': (0,), }\n"
    return NPY + struct.pack("<H", len(text)) + text


def test_many_arrays_are_looked_at() -> None:
    """Each by its header, and one with objects is enough."""
    for descr, expected in ((b"'|O'", "WEIGHTS_PICKLE"), (b"'<f4'", "WEIGHTS_FORMAT")):
        members = {f"{n}.npy": header(b"'<i8'") for n in range(1000)}
        with pytest.raises(SourceError) as error:
            classify("model", Counted(archive({**members, "last.npy": header(descr)})))
        assert error.value.problems[0].code == expected


@pytest.mark.parametrize(
    "config",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
        b"[" + b"0," * 300_000 + b"0]",
        b'{"a": "\\ud800"}',
        b"\xff\xfe",
        b" " * (9 * MIB),
        b"",
    ],
    ids=range(8),
)
def test_a_config_that_costs_is_damaged(config: bytes) -> None:
    """A config.json that is deep, endless, too large or no JSON is a damaged file."""
    refused(lambda: read_config("model", Counted(config)))


HOSTILE_NUMBERS: list[Any] = [
    0, -1, True, 2**31 + 1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "64", None,
    [], [1] * 1000, {}, {"a": 1}, "\x1b[31m", "x" * 10_000,
]  # fmt: skip
FIELDS = (
    "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim",
    "intermediate_size", "vocab_size", "max_position_embeddings", "sliding_window",
    "sliding_window_pattern", "max_window_layers", "layer_types", "num_experts",
    "num_experts_per_tok", "moe_intermediate_size", "n_shared_experts", "kv_lora_rank",
    "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim", "quantization_config", "model_type",
    "architectures", "text_config", "tie_word_embeddings", "multi_query", "use_sliding_window",
)  # fmt: skip
SMALL = {"num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 8}


@pytest.mark.parametrize("name", FIELDS)
def test_no_number_of_a_config_breaks_the_estimate(name: str) -> None:
    """Zero, negative, endless, no number and no whole number: an interval, or too little is known."""
    for value in HOSTILE_NUMBERS:
        try:
            data = json.dumps({**SMALL, name: value}).encode()
        except ValueError:
            data = json.dumps({**SMALL, name: 0}).encode().replace(b"0", b"1" + b"0" * 400)
        shape = shape_of([ModelFile("config.json", "json", Counted(data))])
        assert shape.architecture is None or shape.architecture.isprintable()
        require_intervals(shape.described)


def require_intervals(shape: Any) -> None:
    if shape is None:
        return
    for engine in ("transformers", "vllm", "llama-cpp", "onnx"):
        found = estimate(shape, Setting(memory_of(engine), 4096))
        for phase in found.phases:
            for term in phase.terms:
                assert 0 <= term.low_bytes <= term.likely_bytes <= term.high_bytes


def test_a_mixture_of_endlessly_many_experts_is_counted_like_others() -> None:
    """The estimate's work does not grow with the number of experts that a config states."""
    config = {**SMALL, "num_experts": 2**31, "moe_intermediate_size": 2**20}
    data = json.dumps(config).encode()
    require_intervals(shape_of([ModelFile("config.json", "json", Counted(data))]).described)
    types = {**SMALL, "layer_types": ["linear_attention"] * 1000}
    shape = shape_of([ModelFile("config.json", "json", Counted(json.dumps(types).encode()))])
    assert shape.described is not None
    assert shape.described.cached_layers == 0


def test_a_config_is_read_as_python_wrote_it() -> None:
    """Infinite numbers are in the config.json of real models, and stay there."""
    data = b'{"time_step_limit": [0.0, Infinity], "model_type": "mamba2"}'
    assert read_config("config.json", Counted(data))["time_step_limit"] == [0.0, float("inf")]


@pytest.mark.parametrize("kind", ["fifo", "/dev/zero", "/proc/self/status", "folder", "gone"])
def test_pieces_are_those_of_regular_files(tmp_path: Path, kind: str) -> None:
    """A header is not read from a FIFO, a device or a file of the kernel."""
    path = tmp_path / "model"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind != "gone":
        path.symlink_to(kind)
    with pytest.raises(MealkitError) as error:
        classify("model", FileRanges(path))
    assert error.value.problems[0].code in ("SOURCE_CHANGED", "WEIGHTS_FORMAT")


def test_a_file_that_changes_its_size_is_told(tmp_path: Path) -> None:
    """A file that is cut or grows between two pieces is not read as if nothing had happened."""
    path = tmp_path / "model"
    for size in (10, 300):
        path.write_bytes(bytes(100))
        ranges = FileRanges(path)
        ranges.read(0, 8)
        path.write_bytes(bytes(size))
        with pytest.raises(SourceError) as error:
            ranges.read(8, 80)
        assert error.value.problems[0].code == "SOURCE_CHANGED"


PROGRAM = """
import resource, sys
from pathlib import Path
from mealkit.errors import SourceError
from mealkit.sources.gguf import read_gguf
from mealkit.sources.ranges import FileRanges
from mealkit.sources.safetensors import read_safetensors

used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 128 * 2**20,) * 2)
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
read = {"gguf": read_gguf, "safetensors": read_safetensors}[sys.argv[1]]
try:
    read("model", FileRanges(Path(sys.argv[2])))
except SourceError as error:
    print(error.problems[0].code)
else:
    print("read")
"""


def sparse(path: Path, head: bytes, size_bytes: int) -> Path:
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(size_bytes)
    return path


def wide_names(path: Path) -> Path:
    """Write a header whose names take four bytes a character once they are text."""
    unit = ('"%02d🙂' + "n" * 900_000 + '":' + TENSOR.decode()) if path else ""
    header = ("{" + ",".join(unit % number for number in range(60)) + "}").encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


HUGE: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "a header of 100 MB of zeros": (
        "safetensors",
        lambda path: sparse(path, struct.pack("<Q", 99_999_999) + b"{", 200_000_000),
        "WEIGHTS_DAMAGED",
    ),
    "names in wide characters": ("safetensors", wide_names, "WEIGHTS_DAMAGED"),
    "four million texts": (
        "gguf",
        lambda path: sparse(
            path, gguf(text(b"t") + struct.pack("<IIQ", 9, 8, 4_000_000)), 100_000_000
        ),
        "read",
    ),
    "a text of 400 MB as a key": (
        "gguf",
        lambda path: sparse(path, gguf(struct.pack("<Q", 400_000_000)), 500_000_000),
        "WEIGHTS_DAMAGED",
    ),
}


@pytest.mark.parametrize("kind", HUGE)
def test_the_largest_headers_take_bounded_memory_and_work(tmp_path: Path, kind: str) -> None:
    """128 MiB of address space and 20 seconds of a CPU are enough for any header."""
    form, write, expected = HUGE[kind]
    path = write(tmp_path / "model")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), form, str(path)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.returncode) == (expected, 0), done.stderr[-400:]
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


def test_an_archive_of_a_wheel_is_looked_at_before_it_is_opened(tmp_path: Path) -> None:
    """A wheel whose directory would not fit into memory is not given to zipfile."""
    path = tmp_path / "a.whl"
    path.write_bytes(ARCHIVES["a directory without end"])
    with pytest.raises(UntrustedError, match="would have to be read at once"):
        require_directory(path)
    with pytest.raises(FileNotFoundError):
        require_directory(tmp_path / "none.whl")

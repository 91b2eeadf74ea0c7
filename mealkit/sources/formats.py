"""Detects the format of a weight file from its content. The name is used only to reject a file.

Raises SourceError unless the file is safetensors, GGUF, ONNX, JSON, text, the external data of an
ONNX graph, or a pickle that is allowed; for an engine that takes any data, unless it is a pickle or
a program.
"""

import bz2
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Literal

from mealkit.errors import failure
from mealkit.files.pointers import MAX_POINTER_BYTES, pointer_in
from mealkit.sources.pickles import is_pickle
from mealkit.sources.protobuf import is_onnx
from mealkit.sources.ranges import HEAD_BYTES, RangeReader
from mealkit.sources.safetensors import MAX_HEADER_BYTES
from mealkit.sources.zip_archive import open_archive
from mealkit.untrusted import UntrustedError, shown

Format = Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle", "data"]

# Usual names of pickles: loaders unpickle files with these names, whatever they contain.
_PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".dill", ".pt2"}
)
# Files with these names have this format: an engine would fail on any text.
_STRICT_SUFFIXES = {".safetensors": "safetensors", ".gguf": "GGUF", ".onnx": "ONNX"}
_JSON_START = re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{"\dtfn\]-])')
_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER_BYTES = 4096
_OBJECT_TYPE = re.compile(rb"['|]O")
_MAX_ARRAYS = 1000
# ELF, Windows, macOS (32 and 64 bits, several architectures), WebAssembly.
_PROGRAMS = (
    b"\x7fELF",
    b"MZ",
    b"\xfe\xed\xfa",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
)
# Zstandard, LZ4: the standard library cannot unpack them.
_PACKED = (b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")
_LZMA_BYTES = 64 * 1024 * 1024


def classify(
    name: str,
    ranges: RangeReader,
    *,
    allow_pickle: bool = False,
    is_graph_data: Callable[[], bool] = lambda: False,
    any_data: bool = False,
) -> Format:
    """Return the format of a file; reads its first bytes, and the directory of an archive.

    ``is_graph_data`` is called for a file of no other format. It returns whether an ONNX graph
    stores tensors in it; such a file may contain any numbers. With ``any_data``, other files are
    ``data``, such as pictures and arrays for the kit's own code.

    Raises:
        SourceError: ``WEIGHTS_PICKLE`` unless ``allow_pickle``, ``WEIGHTS_FORMAT`` for anything
            unknown, ``WEIGHTS_DAMAGED`` for an archive that cannot be read.
    """
    found = _content(name, ranges)
    suffix = PurePosixPath(name).suffix.lower()
    if found in ("text", "json"):
        _require_no_stand_in(name, suffix, ranges)
    suspicious = suffix in _PICKLE_SUFFIXES
    if suspicious and found in ("text", "json", None):
        found = "pickle"
    if found is None and is_graph_data():
        return "onnx-data"
    if found is None and any_data:
        found = _data(name, ranges)
    if found is None:
        raise failure(
            "WEIGHTS_FORMAT",
            f"{name} is not safetensors, GGUF, ONNX, JSON or plain text, and no graph names it",
            where=name,
        )
    if found == "pickle" and not allow_pickle:
        raise failure(
            "WEIGHTS_PICKLE", f"{name} is a pickle, which runs code when loaded", where=name
        )
    return found


def _require_no_stand_in(name: str, suffix: str, ranges: RangeReader) -> None:
    """Raise for a text that stands for another file, or has the name of a binary format.

    Raises:
        SourceError: ``WEIGHTS_FORMAT``.
    """
    pointer = pointer_in(ranges.read(0, MAX_POINTER_BYTES + 1))
    if pointer is not None:
        message = f"{name} is {pointer.kind}"
        raise failure("WEIGHTS_FORMAT", message, hint=pointer.fix, where=name)
    if suffix in _STRICT_SUFFIXES:
        raise failure(
            "WEIGHTS_FORMAT",
            f"{name} is text, not {_STRICT_SUFFIXES[suffix]}",
            hint="download the file again: an error page or a placeholder is in its place",
            where=name,
        )


def _content(name: str, ranges: RangeReader) -> Format | None:
    head = ranges.read(0, HEAD_BYTES)
    if head[:4] == b"GGUF":
        return "gguf"
    if _begins_safetensors(name, head):
        return "safetensors"
    whole = len(head) == ranges.size_bytes
    if _holds_pickle(name, head, ranges) or is_pickle(head, whole=whole):
        return "pickle"
    if is_onnx(ranges):
        return "onnx"
    return _text(head, whole=whole)


def _data(name: str, ranges: RangeReader) -> Format:
    """Return whether data of no known format is a pickle, which may be compressed.

    Raises:
        SourceError: ``WEIGHTS_FORMAT``, it is a program, or compressed so that it cannot be told.
    """
    head = ranges.read(0, HEAD_BYTES)
    if head.startswith(_PROGRAMS):
        message, hint = f"{name} is a program, not data", "name its package in runtime.requirements"
        raise failure("WEIGHTS_FORMAT", message, hint=hint, where=name)
    if head.startswith(_PACKED):
        message, hint = f"{name} is compressed data", "unpack it, and name what was in it"
        raise failure("WEIGHTS_FORMAT", message, hint=hint, where=name)
    return "pickle" if is_pickle(_unpacked_head(head), whole=False) else "data"


def _unpacked_head(head: bytes) -> bytes:
    """Return the first bytes of compressed data; nothing if it is not compressed."""
    unpackers: list[tuple[bytes, Callable[[], bytes]]] = [
        (b"\x1f\x8b", lambda: zlib.decompressobj(31).decompress(head, HEAD_BYTES)),
        (b"\x78", lambda: zlib.decompressobj().decompress(head, HEAD_BYTES)),
        (b"BZh", lambda: bz2.BZ2Decompressor().decompress(head, HEAD_BYTES)),
        (b"\xfd7zXZ", lambda: _lzma(lzma.FORMAT_XZ, head)),
        (b"\x5d\x00", lambda: _lzma(lzma.FORMAT_ALONE, head)),
    ]
    for magic, unpack in unpackers:
        if head.startswith(magic):
            try:
                return unpack()
            except (zlib.error, OSError, lzma.LZMAError, EOFError):
                return b""
    return b""


def _lzma(form: int, head: bytes) -> bytes:
    return lzma.LZMADecompressor(form, memlimit=_LZMA_BYTES).decompress(head, HEAD_BYTES)


def _begins_safetensors(name: str, head: bytes) -> bool:
    """Return whether it starts like safetensors: a length of 8 bytes, then JSON."""
    if head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return length <= MAX_HEADER_BYTES or name.endswith(".safetensors")


def _holds_pickle(name: str, head: bytes, ranges: RangeReader) -> bool:
    """Return whether it is an archive with a pickle, or with a numpy array of objects."""
    if head[:4] == b"PK\x03\x04":
        return _archive_holds_pickle(name, ranges)
    return head[: len(_NPY_MAGIC)] == _NPY_MAGIC and _npy_holds_objects(head)


def _archive_holds_pickle(name: str, ranges: RangeReader) -> bool:
    try:
        with open_archive(ranges) as archive:
            names = archive.namelist()
            if any(PurePosixPath(item).suffix.lower() in (".pkl", ".pickle") for item in names):
                return True
            return any(_member_holds_objects(archive, item) for item in _arrays(names))
    except UntrustedError as error:
        raise failure(
            "WEIGHTS_DAMAGED", f"{name} is an archive that cannot be read: {error}", where=name
        ) from error


def _arrays(names: Sequence[str]) -> list[str]:
    found = [name for name in names if name.endswith(".npy")]
    if len(found) > _MAX_ARRAYS:
        raise UntrustedError(f"it has {len(found)} arrays, more than {_MAX_ARRAYS}")
    return found


def _member_holds_objects(archive: zipfile.ZipFile, member: str) -> bool:
    if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # numpy does not write other compressions, and they can unpack to megabytes at once.
        raise UntrustedError(f"the compression of {shown(member)} is not used for arrays")
    with archive.open(member) as stream:
        return _npy_holds_objects(stream.read(_NPY_HEADER_BYTES))


def _npy_holds_objects(head: bytes) -> bool:
    """Return whether it is an array of Python objects, which numpy stores as a pickle.

    Source: numpy.lib.format, the header's ``descr``.
    """
    return any(
        _OBJECT_TYPE.search(part.partition(b"'descr':")[2])
        for part in head[:_NPY_HEADER_BYTES].split(b"}")
    )


def _text(head: bytes, *, whole: bool) -> Format | None:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Only the last character may be incomplete, because the head may end in it.
        if whole or error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if any(ord(sign) < 32 and sign not in "\t\n\r\f" for sign in text):
        return None
    if not whole:
        return "json" if _JSON_START.match(text.encode()) else "text"
    try:  # this only checks whether it is JSON, and the head is short
        json.loads(text)
    except (ValueError, RecursionError):
        return "text"
    return "json"

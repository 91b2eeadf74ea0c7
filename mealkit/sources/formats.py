"""Detects the format of a weight file from its content. The name is used only to reject a file.

Raises SourceError unless the file is safetensors, GGUF, ONNX, JSON, text, the external data of an
ONNX graph, or a pickle that is allowed; for an engine that takes any data, unless it is a pickle or
a program.
"""

import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Literal

from mealkit.errors import failure
from mealkit.files.pointers import MAX_POINTER_BYTES, pointer_in
from mealkit.sources.forward_data import RangesForward, UnseenError
from mealkit.sources.pickle_search import find_pickle
from mealkit.sources.pickles import runs_as_pickle
from mealkit.sources.protobuf import is_onnx
from mealkit.sources.ranges import HEAD_BYTES, RangeReader
from mealkit.sources.safetensors import MAX_HEADER_BYTES
from mealkit.untrusted import UntrustedError

Format = Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle", "data"]

# Usual names of pickles: loaders unpickle files with these names, whatever they contain.
_PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".dill", ".pt2"}
)
# The kit's own code reads a file as it likes, so for it only names that nothing else has count:
# fastText and spaCy write .bin, too.
_ONLY_PICKLE_SUFFIXES = frozenset({".pkl", ".pickle", ".joblib", ".dill"})
# Files with these names have this format: an engine would fail on any text.
_STRICT_SUFFIXES = {".safetensors": "safetensors", ".gguf": "GGUF", ".onnx": "ONNX"}
_JSON_START = re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{"\dtfn\]-])')
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
_BYTECODE_BYTES = 16
_BYTECODE_VERSIONS = range(3000, 4000)  # Python 3.0 to beyond 3.14
_BYTECODE_FLAGS = frozenset({0, 1, 3})
_UNSEEN = (
    "unpack it, and name what was in it; or set model.allow_pickle: true after you have read what "
    "is in it"
)


def classify(
    name: str,
    ranges: RangeReader,
    *,
    allow_pickle: bool = False,
    is_graph_data: Callable[[], bool] = lambda: False,
    any_data: bool = False,
) -> Format:
    """Return the format of a file; reads its first bytes, and searches archives for pickles.

    ``is_graph_data`` is called for a file of no other format. It returns whether an ONNX graph
    stores tensors in it; such a file may contain any numbers. With ``any_data``, other files are
    ``data``, such as pictures and arrays for the kit's own code.

    Raises:
        SourceError: ``WEIGHTS_PICKLE`` unless ``allow_pickle``, ``WEIGHTS_FORMAT`` for anything
            unknown, ``WEIGHTS_DAMAGED`` for an archive that cannot be read.
    """
    found, place = _content(name, ranges, allow_pickle=allow_pickle)
    suffix = PurePosixPath(name).suffix.lower()
    if found in ("text", "json"):
        _require_no_stand_in(name, suffix, ranges)
    named = _ONLY_PICKLE_SUFFIXES if any_data else _PICKLE_SUFFIXES
    if suffix in named and found in ("text", "json", None):
        found = "pickle"
    if found is None and is_graph_data():
        return "onnx-data"
    if found is None and any_data:
        _require_data(name, ranges)
        found = "data"
    if found is None:
        raise failure(
            "WEIGHTS_FORMAT",
            f"{name} is not safetensors, GGUF, ONNX, JSON or plain text, and no graph names it",
            where=name,
        )
    if found == "pickle" and not allow_pickle:
        what = f"{name} has a pickle inside ({place})" if place else f"{name} is a pickle"
        raise failure("WEIGHTS_PICKLE", f"{what}, which runs code when loaded", where=name)
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
        what = "text" if ranges.size_bytes else "empty"
        raise failure(
            "WEIGHTS_FORMAT",
            f"{name} is {what}, not {_STRICT_SUFFIXES[suffix]}",
            hint="download the file again: an error page or a placeholder is in its place",
            where=name,
        )


def _content(
    name: str, ranges: RangeReader, *, allow_pickle: bool
) -> tuple[Format | None, str | None]:
    """Return the format, None for one that is not known; and where a pickle is inside."""
    head = ranges.read(0, HEAD_BYTES)
    stated: Format | None = "gguf" if head[:4] == b"GGUF" else None
    if _begins_safetensors(name, head):
        stated = "safetensors"
    if stated is not None:
        # A length, a version or a letter in their first bytes may be an opcode.
        return ("pickle", "") if runs_as_pickle(RangesForward(ranges)) else (stated, None)
    place = _pickle_place(name, ranges, allow_pickle=allow_pickle)
    if place is not None:
        return "pickle", place
    if is_onnx(ranges):
        return "onnx", None
    return _text(head, whole=len(head) == ranges.size_bytes), None


def _require_data(name: str, ranges: RangeReader) -> None:
    """Raise for data that runs as a program; its package belongs in runtime.requirements.

    Raises:
        SourceError: ``WEIGHTS_FORMAT``.
    """
    head = ranges.read(0, _BYTECODE_BYTES)
    if head.startswith(_PROGRAMS):
        message, hint = f"{name} is a program, not data", "name its package in runtime.requirements"
        raise failure("WEIGHTS_FORMAT", message, hint=hint, where=name)
    if _is_bytecode(head):
        message = f"{name} is compiled Python, not data"
        hint = "name its source in runtime.code, where its text can be read"
        raise failure("WEIGHTS_FORMAT", message, hint=hint, where=name)


def _is_bytecode(head: bytes) -> bool:
    """Return whether it begins as a .pyc: a number for Python's version, a line end, and flags.

    Source: importlib._bootstrap_external, _classify_pyc.
    """
    if len(head) < _BYTECODE_BYTES or head[2:4] != b"\r\n":
        return False
    version, flags = int.from_bytes(head[:2], "little"), int.from_bytes(head[4:8], "little")
    return version in _BYTECODE_VERSIONS and flags in _BYTECODE_FLAGS


def _begins_safetensors(name: str, head: bytes) -> bool:
    """Return whether it starts like safetensors: a length of 8 bytes, then JSON."""
    if head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return length <= MAX_HEADER_BYTES or name.endswith(".safetensors")


def _pickle_place(name: str, ranges: RangeReader, *, allow_pickle: bool) -> str | None:
    """Return where a file holds a pickle: empty for the file itself; None if there is none.

    Raises:
        SourceError: ``WEIGHTS_FORMAT``, a part cannot be looked into; ``WEIGHTS_DAMAGED``.
    """
    try:
        return find_pickle(ranges)
    except UnseenError as error:
        if allow_pickle:
            return None
        message = f"{name} {error}, so it cannot be checked for pickles"
        raise failure("WEIGHTS_FORMAT", message, hint=_UNSEEN, where=name) from error
    except UntrustedError as error:
        raise failure(
            "WEIGHTS_DAMAGED", f"{name} is an archive that cannot be read: {error}", where=name
        ) from error


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

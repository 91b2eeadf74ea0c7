"""What a weight file is, told from its content; its name can only make it more suspicious.

Refuses what is none of safetensors, GGUF, ONNX, JSON, text, the numbers that an ONNX graph keeps in
a file of their own, and pickle unless it is allowed.
"""

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Literal

from mealkit.errors import failure
from mealkit.sources.pickles import is_pickle
from mealkit.sources.protobuf import is_onnx
from mealkit.sources.ranges import HEAD_BYTES, RangeReader
from mealkit.sources.safetensors import MAX_HEADER_BYTES
from mealkit.sources.zip_archive import open_archive
from mealkit.untrusted import UntrustedError, shown

Format = Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle"]

# Names under which pickles travel: their loaders unpickle whatever stands there.
_PICKLE_SUFFIXES = frozenset(
    {".bin", ".pt", ".pth", ".pkl", ".pickle", ".joblib", ".ckpt", ".dill", ".pt2"}
)
_JSON_START = re.compile(rb'\s*(\{\s*["}]|\[\s*[\[{"\dtfn\]-])')
_NPY_MAGIC = b"\x93NUMPY"
_NPY_HEADER_BYTES = 4096
_OBJECT_TYPE = re.compile(rb"['|]O")
_MAX_ARRAYS = 1000


def classify(
    name: str,
    ranges: RangeReader,
    *,
    allow_pickle: bool = False,
    is_graph_data: Callable[[], bool] = lambda: False,
) -> Format:
    """Return what a file's content is; reads its first bytes, and the directory of an archive.

    ``is_graph_data`` is asked of what is nothing else: whether an ONNX graph beside it has tensors
    there, so that it may be any numbers.

    Raises:
        SourceError: ``WEIGHTS_PICKLE`` unless ``allow_pickle``, ``WEIGHTS_FORMAT`` for anything
            unknown, ``WEIGHTS_DAMAGED`` for an archive that cannot be read.
    """
    found = _content(name, ranges)
    suspicious = PurePosixPath(name).suffix.lower() in _PICKLE_SUFFIXES
    if suspicious and found in ("text", "json", None):
        found = "pickle"
    if found is None and is_graph_data():
        return "onnx-data"
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


def _begins_safetensors(name: str, head: bytes) -> bool:
    """Tell a safetensors header: 8 bytes of its length, then JSON; its reader is the strict one."""
    if head[8:9] != b"{":
        return False
    length = int.from_bytes(head[:8], "little")
    return length <= MAX_HEADER_BYTES or name.endswith(".safetensors")


def _holds_pickle(name: str, head: bytes, ranges: RangeReader) -> bool:
    """Tell an archive with a pickle in it, or a numpy array of objects."""
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
        # Others are not written by numpy, and unpack to megabytes at once.
        raise UntrustedError(f"the compression of {shown(member)} is not one of arrays")
    with archive.open(member) as stream:
        return _npy_holds_objects(stream.read(_NPY_HEADER_BYTES))


def _npy_holds_objects(head: bytes) -> bool:
    """Tell an array of Python objects, which numpy stores as a pickle.

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
        # A character may be cut where the head ends, nowhere else.
        if whole or error.start < len(head) - 3:
            return None
        text = head[: error.start].decode("utf-8-sig")
    if any(ord(sign) < 32 and sign not in "\t\n\r\f" for sign in text):
        return None
    if not whole:
        return "json" if _JSON_START.match(text.encode()) else "text"
    try:  # only whether it is JSON counts, and the head is short
        json.loads(text)
    except (ValueError, RecursionError):
        return "text"
    return "json"

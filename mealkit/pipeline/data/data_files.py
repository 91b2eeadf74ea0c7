"""Finds the data files that a command names, and what each of them is.

A folder is read in the order of its names; links in it are not followed. What a file is, its name
says, or else its first bytes.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from mealkit.errors import DataError, failure
from mealkit.untrusted import open_regular

_HEAD_BYTES = 4096
_MAX_FILES = 1_000_000


class Format(StrEnum):
    """What a data file is."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"
    TEXT = "text"
    UNKNOWN = "unknown"


_SUFFIXES = {
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".tab": Format.CSV,
    ".parquet": Format.PARQUET,
    ".pq": Format.PARQUET,
    ".txt": Format.TEXT,
    ".text": Format.TEXT,
    ".md": Format.TEXT,
}
_PACKED = (
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -d"),
    (b"\xfd7zXZ\0", "xz", "xz -d"),
    (b"BZh", "bzip2", "bzip2 -d"),
    (b"PK\x03\x04", "zip", "unzip"),
)
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file to read."""

    path: Path
    name: str
    """The path as it is shown."""
    format: Format
    is_gzip: bool
    size_bytes: int
    fault: str = ""
    """Why the file cannot be read, if it cannot."""
    hint: str = ""


def data_files(paths: Sequence[Path]) -> list[DataFile]:
    """Return the files that paths name, with those in folders.

    Raises:
        DataError: a path does not exist, cannot be read, or is a folder without files
            (``DATA_UNREADABLE``).
    """
    found: list[DataFile] = []
    for path in paths:
        if path.is_dir():
            inside = [_file_inside(item) for item in _files_below(path, _MAX_FILES)]
            if not inside:
                raise failure("DATA_UNREADABLE", f"the folder {path} has no files", where=str(path))
            found += inside
        else:
            found.append(_data_file(path))
    return found


def _files_below(folder: Path, most: int) -> Iterator[Path]:
    count = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or path.is_symlink():
                continue
            count += 1
            if count > most:
                raise failure("DATA_UNREADABLE", f"the folder {folder} has over {most} files")
            yield path


def _file_inside(path: Path) -> DataFile:
    """Return a file of a folder; one that cannot be read is a finding, and the others are read."""
    try:
        return _data_file(path)
    except DataError as error:
        what = error.problems[0].message.removeprefix(f"{path} ")
        return DataFile(
            path,
            str(path),
            Format.UNKNOWN,
            is_gzip=False,
            size_bytes=0,
            fault=f"the file {what}",
        )


def _data_file(path: Path) -> DataFile:
    try:
        with os.fdopen(open_regular(path), "rb") as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            head = stream.read(_HEAD_BYTES)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise failure("DATA_UNREADABLE", message, where=str(path)) from error
    is_gzip = head.startswith(GZIP)
    named = path.with_suffix("") if is_gzip and path.suffix == ".gz" else path
    kind = _SUFFIXES.get(named.suffix.lower()) or _kind_of(head, is_gzip=is_gzip)
    fault, hint = _fault(head, kind, path)
    return DataFile(path, str(path), kind, is_gzip, size_bytes, fault, hint)


def _kind_of(head: bytes, *, is_gzip: bool) -> Format:
    """Return the format of a file whose name does not tell it."""
    if head.startswith(b"PAR1"):
        return Format.PARQUET
    if is_gzip or b"\0" in head:
        return Format.UNKNOWN
    return Format.JSONL if head.lstrip().startswith(b"{") else Format.TEXT


def _fault(head: bytes, kind: Format, path: Path) -> tuple[str, str]:
    for magic, name, program in _PACKED:
        if head.startswith(magic):
            return f"the file is compressed with {name}", f"unpack it first: {program} {path}"
    if kind is Format.UNKNOWN:
        return (
            "the file is neither JSONL, CSV, Parquet nor text",
            "give it a name that ends in .jsonl, .csv, .parquet or .txt, if it is one of them",
        )
    if kind is Format.PARQUET and not head.startswith(b"PAR1"):
        return "the file is not Parquet: it does not begin with PAR1", ""
    return "", ""

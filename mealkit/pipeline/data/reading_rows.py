"""Opens a data file and reads its rows, whatever its format; gzip is unpacked on the way."""

import os
from collections.abc import Callable, Iterator

from mealkit.contract.fit_report import FileFault
from mealkit.errors import failure
from mealkit.pipeline.data.checked_rows import Columns, Rows
from mealkit.pipeline.data.csv_rows import csv_rows
from mealkit.pipeline.data.data_files import DataFile, Format
from mealkit.pipeline.data.json_lines import json_rows
from mealkit.pipeline.data.parquet_rows import parquet_rows
from mealkit.pipeline.data.text_rows import text_rows
from mealkit.untrusted import UntrustedError, decompressed, open_regular

_CHUNK_BYTES = 1024 * 1024
# A gzip file of 1 GB can unpack to 1 TB; it is streamed, so this bounds the time.
_MAX_UNPACKED = 1000


def rows_of(file: DataFile, columns: Columns, advance: Callable[[int], None]) -> Rows:
    """Yield the rows of a file, and a finding for what cannot be read.

    Raises:
        DataError: the file disappears or cannot be read while it is read (``DATA_UNREADABLE``); a
            text file is no known input (``DATA_INPUT``).
    """
    if file.fault:
        yield FileFault(file.name, None, file.fault, file.hint)
        return
    if file.size_bytes == 0:
        yield FileFault(file.name, None, "the file is empty")
        return
    chunks = _chunks(file, advance)
    try:
        match file.format:
            case Format.JSONL:
                yield from json_rows(file.name, chunks)
            case Format.CSV:
                yield from csv_rows(file.name, chunks, columns)
            case Format.PARQUET:
                yield from parquet_rows(file.name, file.path, columns, advance)
            case Format.TEXT | Format.UNKNOWN:
                yield from text_rows(file.name, chunks, _text_column(file, columns))
    except UntrustedError as error:
        yield FileFault(file.name, None, f"the file cannot be read further: {error}")


def _text_column(file: DataFile, columns: Columns) -> str:
    if columns.text_input is None:
        names = ", ".join(columns.of)
        raise failure(
            "DATA_INPUT",
            f"{file.name} is a text, and the contract has several inputs: {names}",
            where=file.name,
            hint="say which input the texts are: --input NAME",
        )
    return columns.of[columns.text_input]


def _chunks(file: DataFile, advance: Callable[[int], None]) -> Iterator[bytes]:
    raw = _raw(file, advance)
    if not file.is_gzip:
        return raw
    return decompressed(raw, "gz", max(file.size_bytes, _CHUNK_BYTES) * _MAX_UNPACKED)


def _raw(file: DataFile, advance: Callable[[int], None]) -> Iterator[bytes]:
    try:
        with os.fdopen(open_regular(file.path), "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
                advance(len(chunk))
    except OSError as error:
        message = f"{file.name} cannot be read: {error.strerror}"
        raise failure("DATA_UNREADABLE", message, where=file.name) from error

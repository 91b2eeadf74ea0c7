"""Reads the rows of a data set's file: JSON Lines, CSV or Parquet, within limits.

A row is a JSON object; its columns are the object's members. Values of CSV are texts. Parquet is
read by pyarrow, which is imported only for such a file.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mealkit.acceptance.packages import needed
from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, open_regular, parse_json_object, shown

Row = Mapping[str, Any]

MAX_ROWS = 1_000_000
"""The most rows of a file."""
MAX_ROW_BYTES = 16 * 1024 * 1024
"""The largest row."""
MAX_FILE_BYTES = 2 * 1024 * 1024 * 1024
"""The most bytes of a file's rows, when they are unpacked."""

_JSON_LINES = (".jsonl", ".ndjson")
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_BATCH_ROWS = 1024


def read_rows(path: Path, name: str, limit: int | None = None) -> tuple[list[Row], bool]:
    """Return the first ``limit`` rows of a file (all, if None), and whether there are more.

    ``name`` is the file's name for messages, and its ending says which format it has.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, with the line, or ``TEST_PACKAGE_MISSING``.
    """
    found: list[Row] = []
    try:
        for row in _rows(path, name):
            if limit is not None and len(found) == limit:
                return found, True
            if len(found) == MAX_ROWS:
                raise _invalid(name, f"it has more than {MAX_ROWS} rows")
            found.append(row)
    except (OSError, UntrustedError) as error:
        raise _invalid(name, str(error), len(found) + 1) from error
    if not found:
        raise _invalid(name, "it has no rows")
    return found, False


def column(row: Row, name: str, number: int, file: str) -> Any:
    """Return a row's value in a column; ``number`` is the row's, from 1.

    Raises:
        AcceptanceError: ``TEST_DATA_INVALID``, the row has no such column.
    """
    if name not in row:
        has = ", ".join(shown(item, 40) for item in list(row)[:20])
        raise _invalid(file, f"it has no column {shown(name)}; it has {has}", number)
    return row[name]


def _rows(path: Path, name: str) -> Iterator[Row]:
    ending = Path(name).suffix.lower()
    if ending in _JSON_LINES:
        return _json_rows(path)
    if ending in _SEPARATORS:
        return _csv_rows(path, _SEPARATORS[ending])
    if ending == ".parquet":
        return _parquet_rows(path)
    raise _invalid(name, "its name ends in none of .jsonl, .csv, .tsv, .parquet")


def _json_rows(path: Path) -> Iterator[Row]:
    for line in _lines(path):
        if line.strip():
            yield parse_json_object(line)


def _csv_rows(path: Path, separator: str) -> Iterator[Row]:
    # A quoted value may contain line breaks, so the reader asks for lines as it needs them.
    texts = (line.decode("utf-8-sig" if first else "utf-8") for first, line in _marked(path))
    reader = csv.reader(texts, delimiter=separator, strict=True)
    try:
        header = next(reader, [])
        if len(set(header)) != len(header):
            raise UntrustedError("two columns have the same name")
        for values in reader:
            if values:
                yield _row_of(header, values)
    except csv.Error as error:
        raise UntrustedError(f"it is not valid CSV: {error}") from error
    except UnicodeDecodeError as error:
        raise UntrustedError("it is not UTF-8") from error


def _row_of(header: Sequence[str], values: Sequence[str]) -> Row:
    if len(values) != len(header):
        raise UntrustedError(f"it has {len(values)} values, expected {len(header)}")
    return dict(zip(header, values, strict=True))


def _marked(path: Path) -> Iterator[tuple[bool, bytes]]:
    first = True
    for line in _lines(path):
        yield first, line
        first = False


def _lines(path: Path) -> Iterator[bytes]:
    total = 0
    with io.open(open_regular(path), "rb") as file:  # noqa: UP020  a descriptor
        while line := file.readline(MAX_ROW_BYTES + 1):
            total += len(line)
            if len(line) > MAX_ROW_BYTES or total > MAX_FILE_BYTES:
                limit = min(MAX_ROW_BYTES, MAX_FILE_BYTES)
                raise UntrustedError(
                    f"a row, or the file, is too large; a row has at most {limit} bytes"
                )
            yield line


def _parquet_rows(path: Path) -> Iterator[Row]:
    parquet = needed("pyarrow.parquet")
    arrow = needed("pyarrow")
    try:
        with io.open(open_regular(path), "rb") as raw:  # noqa: UP020
            file = parquet.ParquetFile(raw)
            groups = range(file.metadata.num_row_groups)
            size = sum(file.metadata.row_group(index).total_byte_size for index in groups)
            if size > MAX_FILE_BYTES:
                raise UntrustedError(f"its rows have more than {MAX_FILE_BYTES} bytes")
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    _require_json(row)
                    yield row
    except (arrow.ArrowException, ValueError) as error:
        if isinstance(error, UntrustedError):
            raise
        raise UntrustedError(f"it is not valid Parquet: {str(error)[:200]}") from error


def _require_json(row: Any) -> None:
    try:
        json.dumps(row, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UntrustedError(f"a value has no form in JSON: {error}") from error


def _invalid(name: str, what: str, number: int | None = None) -> MealkitError:
    where = name if number is None else f"{name}:{number}"
    return failure("TEST_DATA_INVALID", f"the data cannot be read: {what}", where=where)

"""Reads CSV and TSV: the first line names the columns; the separator is found in it.

Excel's forms are read, too: UTF-8 with a byte order mark, and UTF-16 with tabs. A cell is a text;
only columns whose input is a number, a list or an object are read as JSON. An empty cell is a value
that was left out.
"""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any

from mealkit.contract.fit_report import FileFault
from mealkit.pipeline.data.checked_rows import MAX_ROW_BYTES, Columns, Row, Rows
from mealkit.untrusted import shown

_SEPARATORS = (",", "\t", ";", "|")
_MAX_COLUMNS = 10_000
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def csv_rows(name: str, chunks: Iterable[bytes], columns: Columns) -> Rows:
    """Yield the rows of a file."""
    csv.field_size_limit(MAX_ROW_BYTES)
    lines = _lines(chunks)
    head = next(lines, "")
    if not head.strip():
        yield FileFault(name, None, "the file is empty")
        return
    separator = max(_SEPARATORS, key=lambda item: _outside_quotes(head).count(item))
    reader = csv.reader(_with(head, lines), delimiter=separator)
    try:
        names = [cell.strip() for cell in next(reader)]
        fault = _header_fault(names)
        if fault:
            yield FileFault(name, 1, fault)
            return
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                yield _row(name, start, names, cells, columns)
            start = reader.line_num + 1
    except csv.Error as error:
        hint = "check for a quote that is not closed"
        yield FileFault(name, reader.line_num, f"the file cannot be read further: {error}", hint)


def _row(
    name: str, line: int, names: list[str], cells: list[str], columns: Columns
) -> Row | FileFault:
    if len(cells) != len(names):
        return FileFault(name, line, f"the row has {len(cells)} cells, the header {len(names)}")
    values: dict[str, Any] = {}
    for column, cell in zip(names, cells, strict=True):
        fault = _cell_fault(cell)
        if fault:
            return FileFault(name, line, f"column {shown(column)} has {fault}")
        if cell:
            values[column] = _typed(cell) if column in columns.as_json else cell
    return line, values


def _cell_fault(cell: str) -> str:
    """Return what is wrong with a cell's characters; each check is one fast search."""
    if "\0" in cell:
        return "a NUL character"
    if not cell.isascii() and any("\udc80" <= item <= "\udcff" for item in cell):
        return "a byte that is not UTF-8"
    return ""


def _typed(cell: str) -> Any:
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _header_fault(names: list[str]) -> str:
    if len(names) > _MAX_COLUMNS:
        return f"the header has more than {_MAX_COLUMNS} columns"
    for column in names:
        if fault := _cell_fault(column):
            return f"the header has {fault}"
    twice = next((column for column in names if column and names.count(column) > 1), None)
    return f"the header has the column {shown(twice)} twice" if twice else ""


def _outside_quotes(head: str) -> str:
    return "".join(head.split('"')[::2])


def _with(head: str, lines: Iterator[str]) -> Iterator[str]:
    yield head
    yield from lines


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield lines with their ends; a line that is too long comes in pieces."""
    decoder: codecs.IncrementalDecoder | None = None
    rest = ""
    for chunk in chunks:
        if decoder is None:
            encoding = "utf-16" if chunk.startswith(_UTF_16) else "utf-8-sig"
            decoder = codecs.getincrementaldecoder(encoding)("surrogateescape")
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in whole)
        if len(rest) > MAX_ROW_BYTES:
            yield rest
            rest = ""
    rest += decoder.decode(b"", final=True) if decoder else ""
    if rest:
        yield rest

"""Reads CSV and TSV: the first line names the columns; the separator is found in it.

Excel's forms are read, too: UTF-8 with a byte order mark, and UTF-16 with tabs. A cell is a text;
only columns whose input is a number, a list or an object are read as JSON. An empty cell is a value
that was left out.
"""

import codecs
import csv
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Any

from mealkit.contract.fit_report import FileFault
from mealkit.pipeline.data.checked_rows import MAX_ROW_BYTES, Columns, Row, Rows
from mealkit.untrusted import UntrustedError, parse_json, shown

_SEPARATORS = (",", "\t", ";", "|")
_MAX_COLUMNS = 10_000
_TOO_LONG = "field larger than field limit"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def csv_rows(name: str, chunks: Iterable[bytes], columns: Columns) -> Rows:
    """Yield the rows of a file."""
    csv.field_size_limit(MAX_ROW_BYTES)
    lines = _lines(chunks)
    head = next(lines, "")
    if not head.strip():
        yield FileFault(name, None, "the file is empty")
        return
    reader = csv.reader(_with(head, lines), delimiter=_separator(name, head), strict=True)
    names: list[str] = []
    for item in _records(name, reader):
        if isinstance(item, FileFault):
            yield item
            if not names:
                return
        elif names:
            yield _row(name, *item, names, columns)
        else:
            names = [cell.strip() for cell in item[1]]
            if fault := _header_fault(names):
                yield FileFault(name, 1, fault)
                return


def _records(name: str, reader: Any) -> Iterator[tuple[int, list[str]] | FileFault]:
    """Yield the first line and the cells of each record that has some, and the bad ones."""
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield FileFault(name, start, f"the row cannot be read: {_cause(error)}")
            if _TOO_LONG in str(error):
                return  # what follows is a piece of a row
        else:
            if cells is None:
                return
            if cells:
                yield start, cells


def _separator(name: str, head: str) -> str:
    if PurePath(name.removesuffix(".gz")).suffix.lower() in {".tsv", ".tab"}:
        return "\t"
    return max(_SEPARATORS, key=lambda item: _outside_quotes(head).count(item))


def _cause(error: csv.Error) -> str:
    what = str(error)
    if "unexpected end of data" in what:
        return "a quote is not closed before the file ends"
    if "new-line character" in what:
        return "it has a carriage return outside of quotes"
    if "expected after" in what:
        return "text follows the quote that ends a cell"
    return what


def _row(
    name: str, line: int, cells: list[str], names: list[str], columns: Columns
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
        return parse_json(cell.encode(), max_values=MAX_ROW_BYTES)
    except UntrustedError:
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

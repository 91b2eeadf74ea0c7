"""Reads JSONL, a JSON object per line, as fast as the disk, with a limit for each line.

A line that is not JSON in UTF-8 is a finding with its number, and the next line is read. Empty
lines are skipped. ``orjson`` parses; a message for a bad line, and what may nest deeply, come from
the stricter, slower parser of this package.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from mealkit.contract.fit_report import FileFault
from mealkit.pipeline.data.checked_rows import MAX_ROW_BYTES, Rows
from mealkit.untrusted import MAX_DEPTH, UntrustedError, parse_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def json_rows(name: str, chunks: Iterable[bytes]) -> Rows:
    """Yield the rows of a file."""
    from orjson import JSONDecodeError, loads

    for number, line in enumerate(chain.from_iterable(_split(chunks)), 1):
        try:
            values = loads(line or b"")
            # To look for a further bracket is faster than to count them, and few lines have one.
            if line and (b"[" in line or line.find(b"{", 1) > 0) and _may_nest_deeply(line):
                values = parse_json(line, max_values=MAX_ROW_BYTES)
        except (JSONDecodeError, UntrustedError):
            fault = _fault(name, number, line)
            if fault is not None:
                yield fault
            if fault is not None and fault.line is None:
                return
            continue
        if type(values) is dict:
            yield number, values
        else:
            yield _no_object(name, number, values)


def _may_nest_deeply(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") > MAX_DEPTH


def _fault(name: str, number: int, line: bytes | None) -> FileFault | None:
    """Return why a line is not JSON; None if it is empty."""
    if line is None:
        return FileFault(name, number, f"the line has more than {MAX_ROW_BYTES} bytes")
    return _unreadable(name, number, line) if line.strip() else None


def _split(chunks: Iterable[bytes]) -> Iterator[list[bytes | None]]:
    """Yield the lines that end in each chunk, and the last; None for one that is too long."""
    rest: bytes | None = b""
    for chunk in _without_mark(chunks):
        head, *lines = chunk.split(b"\n")
        rest = _joined(rest, head)
        if lines:
            last = lines.pop()
            yield [rest, *lines]
            rest = last
    yield [rest]


def _without_mark(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for index, chunk in enumerate(chunks):
        yield chunk if index else chunk.removeprefix(_BYTE_ORDER_MARK)


def _joined(start: bytes | None, end: bytes) -> bytes | None:
    if start is None or len(start) + len(end) > MAX_ROW_BYTES:
        return None
    return start + end if start else end


def _unreadable(name: str, number: int, line: bytes) -> FileFault:
    if line.startswith(_UTF_16):
        hint = f"convert it: iconv -f UTF-16 -t UTF-8 {name}"
        return FileFault(name, None, "the file is UTF-16; JSON is UTF-8", hint)
    if b"\0" in line:
        return FileFault(name, number, f"the line has a NUL byte at byte {line.index(0) + 1}")
    try:
        parse_json(line, max_values=MAX_ROW_BYTES)
    except UntrustedError as error:
        what = str(error).replace("line 1, ", "")
        end = f"column {len(line.decode('utf-8', 'replace')) + 1}"
        if what.endswith(end) or "Unterminated" in what:
            hint = _whole_file_hint(name, line) if number == 1 else ""
            return FileFault(name, number, "the line ends in the middle of a value", hint)
        return FileFault(name, number, f"the line cannot be read: {what}")
    return FileFault(name, number, "the line cannot be read: its numbers or nesting are too large")


def _whole_file_hint(name: str, first: bytes) -> str:
    match first.lstrip()[:1]:
        case b"[":
            return f"if the file is one JSON array, write a line for each item: jq -c '.[]' {name}"
        case b"{":
            return f"if an object has several lines, write it in one: jq -c . {name}"
        case _:
            return ""


def _no_object(name: str, number: int, value: Any) -> FileFault:
    kinds = {str: "a text", list: "a list", int: "a number", float: "a number"}
    what = kinds.get(type(value), str(value).lower())
    hint = f"write a line for each item: jq -c '.[]' {name}" if type(value) is list else ""
    return FileFault(name, number, f"the line is {what}, not an object", hint)

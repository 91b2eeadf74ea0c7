"""Reads a text file as one row: the whole text is the input."""

from collections.abc import Iterable

from mealkit.contract.fit_report import FileFault
from mealkit.pipeline.data.checked_rows import MAX_ROW_BYTES, Rows


def text_rows(name: str, chunks: Iterable[bytes], column: str) -> Rows:
    """Yield the only row of a file."""
    data = bytearray()
    for chunk in chunks:
        data += chunk
        if len(data) > MAX_ROW_BYTES:
            yield FileFault(name, None, f"the text has more than {MAX_ROW_BYTES} bytes")
            return
    if not data:
        yield FileFault(name, None, "the file is empty")
        return
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        yield _undecodable(name, data, line, error)
        return
    yield 1, {column: text}


def _undecodable(name: str, data: bytearray, line: int, error: UnicodeDecodeError) -> FileFault:
    if b"\0" in data:
        at = data.count(b"\n", 0, data.index(0)) + 1
        return FileFault(name, at, "the file is not a text: it has NUL bytes")
    byte = data[error.start]
    hint = f"convert it: iconv -f CP1252 -t UTF-8 {name}, if that is its encoding"
    return FileFault(name, line, f"the text is not UTF-8: byte 0x{byte:02x}", hint)

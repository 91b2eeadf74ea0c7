"""Reads multipart/form-data: the parts of a body, each with its name, its type and its bytes.

Format: https://datatracker.ietf.org/doc/html/rfc7578 and
https://datatracker.ietf.org/doc/html/rfc2046#section-5.1. A parser of our own, because the body is
read already and within its limit: what is left is to find its parts, in one pass and without a
copy of more than each part. Raises RequestError for everything that two readers could understand
in two ways.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from mealkit.errors import MealkitError, failure
from mealkit.names import hidden_character
from mealkit.untrusted import shown

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 256
"""The most parts of a body: more than a request may have files."""

_HEAD_BYTES = 16 * 1024
_NAME_CHARACTERS = 200
# What a file system allows for a path; the name is data for the kit, and no path is made from it.
_FILENAME_CHARACTERS = 4096
_END = b"--"
_LINE_END = b"\r\n"
_HEAD_END = b"\r\n\r\n"
_PADDING = re.compile(rb"[ \t]{0,70}\r\n")
_NAME_RULE = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_TYPE = re.compile(rf"({_NAME_RULE}/{_NAME_RULE})\s*(?:;.*)?")
# A parameter's value, quoted or not. Within quotes browsers write a quote as %22, curl as \".
_PARAMETER = re.compile(rf';\s*({_NAME_RULE})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))\s*')
# As older clients name a file with letters beyond ASCII: RFC 8187, section 3.2.
_EXTENDED = re.compile(r"utf-8'[A-Za-z0-9-]*'(.*)", re.IGNORECASE)
_LAST_SEMICOLON = re.compile(r";\s*")
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=? -]{0,69}[A-Za-z0-9'()+_,./:=?-]")
_AS_IT_IS = frozenset({"7bit", "8bit", "binary"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form."""

    name: str
    data: bytes
    filename: str | None = None
    """The name of its file; None for a field."""
    media_type: str = ""
    """Its type without parameters, in small letters; empty if it states none."""


def is_form(content_type: str) -> bool:
    """Return whether a body of this Content-Type is a form."""
    return content_type.partition(";")[0].strip().lower() == MEDIA_TYPE


def read_form(body: bytes, content_type: str) -> list[Part]:
    """Return the parts of a form, in their order; several may have one name.

    Raises:
        RequestError: ``REQUEST_INVALID``, the body is not a form; ``REQUEST_TOO_LARGE``, it has
            too many parts.
    """
    delimiter = b"--" + _boundary(content_type).encode()
    # What stands before the first part is ignored.
    first = body.startswith(delimiter)
    at = len(delimiter) if first else _after(body, _LINE_END + delimiter, 0)
    parts: list[Part] = []
    while not body.startswith(_END, at):
        begins = _PADDING.match(body, at)
        if begins is None:
            raise _invalid("a boundary is followed by other text")
        if len(parts) == MAX_PARTS:
            message = f"the form has more than {MAX_PARTS} parts"
            raise failure("REQUEST_TOO_LARGE", message)
        head = body.find(_HEAD_END, begins.end(), begins.end() + _HEAD_BYTES)
        if head < 0:
            message = f"the head of part {len(parts) + 1} has no end within {_HEAD_BYTES} bytes"
            raise _invalid(message)
        data = head + len(_HEAD_END)
        at = _after(body, _LINE_END + delimiter, data)
        end = at - len(_LINE_END + delimiter)
        parts.append(_part(body[begins.end() : head], body[data:end]))
    return parts


def _after(body: bytes, delimiter: bytes, at: int) -> int:
    found = body.find(delimiter, at)
    if found < 0:
        raise _invalid("its last boundary is missing")
    return found + len(delimiter)


def _boundary(content_type: str) -> str:
    found = _parameters(content_type).get("boundary", "")
    if not _BOUNDARY.fullmatch(found):
        raise failure(
            "REQUEST_INVALID",
            "the Content-Type multipart/form-data has no valid boundary",
            where="Content-Type",
            hint="let your client write the Content-Type; it knows the boundary",
        )
    return found


def _part(head: bytes, data: bytes) -> Part:
    headers: dict[str, str] = {}
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        raise _invalid("the head of a part is not UTF-8") from error
    for line in text.split("\r\n"):
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not re.fullmatch(_NAME_RULE, name) or name in headers:
            raise _invalid(f"the head of a part has the line {shown(line)}")
        headers[name] = value.strip()
    disposition = headers.get("content-disposition", "")
    stated = _parameters(disposition)
    if disposition.partition(";")[0].strip().lower() != "form-data" or "name" not in stated:
        raise _invalid("a part has no Content-Disposition: form-data with a name")
    if headers.get("content-transfer-encoding", "binary").lower() not in _AS_IT_IS:
        raise _invalid(f"the part {shown(stated['name'])} has a Content-Transfer-Encoding")
    kind = _TYPE.fullmatch(headers.get("content-type", ""))
    return Part(
        name=stated["name"],
        data=data,
        filename=_filename(stated),
        media_type=kind[1].lower() if kind else "",
    )


def _filename(stated: Mapping[str, str]) -> str | None:
    """Return the name of a part's file; the plain one, if it has two."""
    if "filename" in stated or "filename*" not in stated:
        return stated.get("filename")
    found = _EXTENDED.fullmatch(stated["filename*"])
    try:
        name = unquote(found[1], errors="strict") if found else None
    except UnicodeDecodeError:
        name = None
    if name is None or hidden_character(name):
        raise _invalid(f"the filename* {shown(stated['filename*'])} cannot be read")
    return name


def _parameters(header: str) -> dict[str, str]:
    """Return the parameters of a header; one that is given twice is an error."""
    found: dict[str, str] = {}
    at = header.find(";")
    while 0 <= at < len(header) and not _LAST_SEMICOLON.fullmatch(header, at):
        match = _PARAMETER.match(header, at)
        if match is None:
            raise _invalid(f"the header {shown(header)} cannot be read")
        name, quoted, plain = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
        name = name.lower()
        most = _FILENAME_CHARACTERS if name.startswith("filename") else _NAME_CHARACTERS
        if name in found or len(value) > most or hidden_character(value):
            raise _invalid(f"the header {shown(header)} cannot be read")
        found[name] = value
        at = match.end()
    return found


def _invalid(reason: str) -> MealkitError:
    return failure("REQUEST_INVALID", f"the body is not valid {MEDIA_TYPE}: {reason}")

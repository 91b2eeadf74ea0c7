"""Makes the values of a prediction's request from the parts of a form, with the kit's schema.

A form has only texts and files. The schema of an input says which of the texts are numbers; a text
that is none stays one, so that the error about it is that of a request in JSON.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any
from urllib.parse import quote

from mealkit.errors import MealkitError, failure
from mealkit.runtime.api.file_schema import FILE_FORMAT, alternatives
from mealkit.runtime.api.form_data import Part
from mealkit.runtime.api.reading import MAX_DEPTH, MAX_VALUES
from mealkit.untrusted import UntrustedError, parse_json

_PARAMETERS = ("model", "seed", "stream")
_WHOLE_INPUT = "input"
_JSON = "application/json"
_DEFAULT_TYPE = "application/octet-stream"
_LITERAL = re.compile(
    rb"-?(?:0|[1-9][0-9]{0,400})(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,3})?|true|false|null"
)
_DEEPEST = 8
_MOST_WAYS = 64

Schema = Mapping[str, Any]


def form_values(parts: Sequence[Part], schema: Schema, max_file_bytes: int) -> dict[str, Any]:
    """Return a request's values; ``schema`` is that of the kit's input.

    The part of a name is the input of that name. ``model``, ``seed`` and ``stream`` are the
    request's parameters, and ``input`` is an object with further inputs, as JSON, unless the kit
    has an input of that name. Several parts of one name are a list. A file without name and content
    is what a browser sends for a field of a page where no file was chosen: it is left out.

    Raises:
        RequestError: ``REQUEST_INVALID`` or ``REQUEST_TOO_LARGE``, naming the part.
    """
    fields = schema.get("properties")
    known = fields if isinstance(fields, Mapping) else {}
    _check_sizes(parts, max_file_bytes)
    by_name: dict[str, list[Part]] = {}
    chosen = [part for part in parts if part.filename != "" or part.data]
    for part in chosen:
        by_name.setdefault(part.name, []).append(part)
    found: dict[str, Any] = {}
    inputs: dict[str, Any] = {}
    for name, given in by_name.items():
        if name in known or name not in {*_PARAMETERS, _WHOLE_INPUT}:
            inputs[name] = _input(given, _Kind.of(known.get(name), schema), f"input.{name}")
        elif len(given) > 1:
            raise failure("REQUEST_INVALID", f"{name} is given twice", where=name)
        elif name == _WHOLE_INPUT:
            found[name] = _json(given[0], name)
        else:
            found[name] = _field(given[0], _PARAMETER_KINDS[name], name)
    whole = found.get(_WHOLE_INPUT, {})
    if not isinstance(whole, dict):
        return found
    if twice := whole.keys() & inputs.keys():
        name = min(twice)
        raise failure("REQUEST_INVALID", f"input.{name} is given twice", where=f"input.{name}")
    return {**found, _WHOLE_INPUT: {**whole, **inputs}}


class _Kind:
    """What a schema allows a value to be."""

    __slots__ = ("is_file", "item", "types")

    def __init__(
        self, types: frozenset[str], *, is_file: bool = False, item: "_Kind | None" = None
    ) -> None:
        self.types = types
        self.is_file = is_file
        self.item = item

    @classmethod
    def of(cls, schema: Any, root: Schema, depth: int = 0) -> "_Kind":
        """Read a schema; one that says nothing, or too much, is that of a text."""
        ways = list(islice(alternatives(schema, root), _MOST_WAYS))
        types = {way["type"] for way in ways if isinstance(way.get("type"), str)}
        for way in ways:
            values = [*way.get("enum", ()), *([way["const"]] if "const" in way else [])]
            types |= {_type_of(value) for value in values} if "type" not in way else set()
        types = types or {"string"}
        lists = [way for way in ways if way.get("type") == "array"]
        item = (
            cls.of(lists[0].get("items"), root, depth + 1) if lists and depth < _DEEPEST else None
        )
        is_file = any(way.get("format") == FILE_FORMAT for way in ways)
        return cls(frozenset(types), is_file=is_file, item=item)


_TEXT = _Kind(frozenset({"string"}))
_PARAMETER_KINDS = {
    "model": _TEXT,
    "seed": _Kind(frozenset({"integer"})),
    "stream": _Kind(frozenset({"boolean"})),
}


def _type_of(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case None:
            return "null"
        case _:
            return "string"


def _input(given: Sequence[Part], kind: _Kind, where: str) -> Any:
    if kind.item is None:
        if len(given) > 1:
            raise failure("REQUEST_INVALID", f"{where} is no list, and is given twice", where=where)
        return _field(given[0], kind, where)
    if len(given) == 1 and _is_json(given[0]):
        return _json(given[0], where)
    return [_field(part, kind.item, f"{where}[{index}]") for index, part in enumerate(given)]


def _field(part: Part, kind: _Kind, where: str) -> Any:
    if kind.is_file and part.filename is not None:
        return _data_url(part)
    if _is_json(part):
        return _json(part, where)
    if "string" not in kind.types and _LITERAL.fullmatch(part.data.strip()):
        return parse_json(part.data)
    if kind.types & {"object", "array"} and part.data.lstrip()[:1] in {b"{", b"["}:
        return _json(part, where)
    try:
        return part.data.decode()
    except UnicodeDecodeError as error:
        message = f"{where} is no text in UTF-8, and the kit takes no file there"
        raise failure("REQUEST_INVALID", message, where=where) from error


def _is_json(part: Part) -> bool:
    return part.media_type == _JSON


def _json(part: Part, where: str) -> Any:
    try:
        return parse_json(part.data, max_depth=MAX_DEPTH, max_values=MAX_VALUES, half_pairs=True)
    except UntrustedError as error:
        raise failure("REQUEST_INVALID", f"{where} is not JSON: {error}", where=where) from error


def _data_url(part: Part) -> str:
    name = f";name={quote(part.filename, safe='')}" if part.filename else ""
    media_type = part.media_type or _DEFAULT_TYPE
    return f"data:{media_type}{name};base64,{base64.b64encode(part.data).decode()}"


def _check_sizes(parts: Sequence[Part], max_file_bytes: int) -> None:
    size_bytes = sum(len(part.data) for part in parts if part.filename is not None)
    if size_bytes > max_file_bytes:
        raise too_large(size_bytes, max_file_bytes)


def too_large(size_bytes: int, max_file_bytes: int) -> MealkitError:
    """Return the error for files that are too large together."""
    message = (
        f"the files of the request have {size_bytes} bytes together, the limit is {max_file_bytes}"
        " (runtime.settings.max_file_bytes)"
    )
    return failure("REQUEST_TOO_LARGE", message, where=_WHOLE_INPUT)

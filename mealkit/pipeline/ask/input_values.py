"""Turns ``name=value`` of a command line into the values of a kit's input, by its JSON Schema.

A value is a number, a boolean, a text, a list or JSON, as the schema says. ``@FILE`` is what is in
a file: a data: URL where the kit takes a file, else its text. Raises RequestError for names and
values that the schema does not know.
"""

import base64
import json
import mimetypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.untrusted import UntrustedError, parse_json, read_file, shown

MAX_FILE_BYTES = 1024 * 1024 * 1024
"""The largest file that is read; a kit's own limit is lower."""
_FILE_FORMATS = frozenset({"data-url", "binary", "base64", "uri", "path", "file-path"})
_FILE_ENCODINGS = frozenset({"base64", "base64url"})
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_NULL = "null"
_MOST_REFERENCES = 32


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The JSON Schema of an input, and the document that its references point into."""

    form: Mapping[str, Any]
    document: Mapping[str, Any]

    def resolved(self, form: Any) -> Mapping[str, Any]:
        """Follow references; what cannot be followed allows everything."""
        for _ in range(_MOST_REFERENCES):
            reference = form.get("$ref") if isinstance(form, Mapping) else None
            if not isinstance(reference, str) or not reference.startswith("#/"):
                return form if isinstance(form, Mapping) else {}
            form = self.document
            for step in reference[2:].split("/"):
                form = form.get(step) if isinstance(form, Mapping) else None
        return {}

    def alternatives(self, form: Any) -> list[Mapping[str, Any]]:
        """Return the schemas of which a value needs to fit one."""
        found = self.resolved(form)
        for word in ("anyOf", "oneOf"):
            if isinstance(found.get(word), list):
                return [item for part in found[word] for item in self.alternatives(part)]
        inner = found.get("allOf")
        if isinstance(inner, list) and len(inner) == 1:
            return self.alternatives(inner[0])
        return [found]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The schema of each field, by name."""
        found = self.resolved(self.form).get("properties")
        return found if isinstance(found, Mapping) else {}

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the fields that an input has to have."""
        found = self.resolved(self.form).get("required")
        return tuple(map(str, found)) if isinstance(found, list) else ()

    @property
    def is_open(self) -> bool:
        """Whether an input may have fields that the schema does not name."""
        found = self.resolved(self.form)
        return not self.fields or bool(found.get("additionalProperties", False))


def typed_input(given: Sequence[str], schema: InputSchema) -> dict[str, Any]:
    """Return the input for ``name=value`` pairs; a name that is repeated makes a list.

    Raises:
        RequestError: ``REQUEST_INVALID``, there is no such field, or no such value.
        KitError: ``USAGE``, a pair has no ``=``, or its file cannot be read.
    """
    texts: dict[str, list[str]] = {}
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            hint = "write -i NAME=VALUE, such as -i text=salt"
            raise failure("USAGE", f"{shown(pair)} is not NAME=VALUE", where="-i", hint=hint)
        texts.setdefault(name, []).append(text)
    return {name: _field(name, values, schema) for name, values in texts.items()}


def _field(name: str, texts: Sequence[str], schema: InputSchema) -> Any:
    form = schema.fields.get(name)
    if form is None and not schema.is_open:
        near = get_close_matches(name, schema.fields, n=1)
        known = f"its inputs are {', '.join(schema.fields)}"
        hint = f"did you mean {near[0]!r}? {known}" if near else known
        message = f"the kit has no input {shown(name)}"
        raise failure("REQUEST_INVALID", message, where=f"-i {name}", hint=hint)
    kinds = schema.alternatives(form) if form is not None else [{}]
    lists = [kind for kind in kinds if kind.get("type") == "array"]
    others = [kind for kind in kinds if kind.get("type") != "array"]
    if len(texts) > 1 and not lists and form is not None:
        message = f"the input {name} has one value, and {len(texts)} are given"
        raise failure("REQUEST_INVALID", message, where=f"-i {name}")
    if len(texts) > 1:
        return [_item(name, text, lists, schema) for text in texts]
    (text,) = texts
    if others and (value := _one(name, text, others)) is not _NOTHING:
        return value
    if lists:
        whole = _json_list(text)
        return [_item(name, text, lists, schema)] if whole is None else whole
    raise _unfit(name, text, kinds)


def _item(name: str, text: str, lists: Sequence[Mapping[str, Any]], schema: InputSchema) -> Any:
    kinds = [kind for form in lists for kind in schema.alternatives(form.get("items", {}))] or [{}]
    value = _one(name, text, kinds)
    if value is _NOTHING:
        raise _unfit(name, text, kinds)
    return value


_NOTHING = object()


def _one(name: str, text: str, kinds: Sequence[Mapping[str, Any]]) -> Any:
    """Return the first reading of a text that one of the kinds allows, or ``_NOTHING``."""
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        return _from_file(name, text[1:], kinds)
    return _literal(text, kinds)


def _literal(text: str, kinds: Sequence[Mapping[str, Any]]) -> Any:
    for kind in kinds:
        choices = [kind["const"]] if "const" in kind else kind.get("enum")
        if isinstance(choices, list):
            found = next((item for item in choices if _spelling(item) == text), _NOTHING)
            if found is not _NOTHING:
                return found
            continue
        value = _of_type(text, kind.get("type"))
        if value is not _NOTHING:
            return value
    return _NOTHING


def _spelling(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _of_type(text: str, kind: Any) -> Any:
    match kind:
        case "string":
            return text
        case "boolean":
            return _BOOLEANS.get(text.lower(), _NOTHING)
        case "null":
            return None if text in {"", _NULL} else _NOTHING
        case "integer" | "number" | "object" | "array":
            value = _json_value(text)
            if not _has_type(value, kind):
                return _NOTHING
            # In JSON Schema, 1.0 is a whole number; in Python's JSON it is none.
            return int(value) if kind == "integer" else value
        case _:
            value = _json_value(text)
            return text if value is _NOTHING else value


def _has_type(value: Any, kind: str) -> bool:
    match kind:
        case "integer":
            is_whole = isinstance(value, float) and value.is_integer()
            return not isinstance(value, bool) and (isinstance(value, int) or is_whole)
        case "number":
            return not isinstance(value, bool) and isinstance(value, int | float)
        case "object":
            return isinstance(value, dict)
        case _:
            return isinstance(value, list)


def _json_value(text: str) -> Any:
    try:
        return parse_json(text.encode())
    except (UntrustedError, UnicodeEncodeError):
        return _NOTHING


def _json_list(text: str) -> list[Any] | None:
    value = _json_value(text) if text.lstrip().startswith("[") else None
    return value if isinstance(value, list) else None


def _from_file(name: str, path: str, kinds: Sequence[Mapping[str, Any]]) -> Any:
    data = file_bytes(Path(path), f"-i {name}")
    if any(_takes_file(kind) for kind in kinds):
        return data_url(Path(path), data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        message = f"the input {name} is a text, and {path} is not UTF-8"
        raise failure("REQUEST_INVALID", message, where=f"-i {name}") from error
    return _literal(text, kinds)


def _takes_file(kind: Mapping[str, Any]) -> bool:
    return kind.get("format") in _FILE_FORMATS or kind.get("contentEncoding") in _FILE_ENCODINGS


def file_bytes(path: Path, where: str) -> bytes:
    """Read a file of the caller's.

    Raises:
        KitError: ``USAGE``, it cannot be read.
    """
    try:
        return read_file(path.expanduser(), MAX_FILE_BYTES)
    except (OSError, UntrustedError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        hint = "name a file; a text that begins with @ is written @@"
        message = f"{shown(str(path))} cannot be read: {said}"
        raise failure("USAGE", message, where=where, hint=hint) from error


def data_url(path: Path, data: bytes) -> str:
    """Return a file as a data: URL, with the type that its name suggests (RFC 2397)."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _unfit(name: str, text: str, kinds: Sequence[Mapping[str, Any]]) -> MealkitError:
    allowed = " or ".join(dict.fromkeys(map(_described, kinds)))
    message = f"the input {name} is {allowed}: {shown(text)}"
    return failure("REQUEST_INVALID", message, where=f"-i {name}", hint=f"give {allowed}")


_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "object": "a JSON object",
    "array": "a list",
}


def _described(kind: Mapping[str, Any]) -> str:
    choices = [kind["const"]] if "const" in kind else kind.get("enum")
    if isinstance(choices, list):
        return f"one of {', '.join(map(_spelling, choices))}"
    return _WORDS.get(str(kind.get("type")), "another value")

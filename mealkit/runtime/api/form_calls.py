"""Writes an example request with files as calls of curl: files in, or a file out. No I/O."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.runtime.api.example_calls import KEY_VARIABLE, Call, json_text
from mealkit.runtime.api.file_answer import ANY_BYTES, gives_file
from mealkit.runtime.api.file_schema import file_inputs
from mealkit.runtime.api.served_model import ServedModel


def form_calls(
    path: str, body: Mapping[str, Any], address: str, served: ServedModel, *, needs_key: bool
) -> tuple[Call, ...]:
    """Return the calls for a kit that takes or gives files; none for others.

    The files are those of the kit's first case with files, seen from the kit's folder; without one
    they have the names of the inputs.
    """
    names = file_inputs((served.prediction or {}).get("input"))
    to_file = gives_file(served.prediction)
    key = [f'-H "Authorization: Bearer ${KEY_VARIABLE}"'] if needs_key else []
    store = [f"-H 'Accept: {ANY_BYTES}' -o output"] if to_file else []
    inputs = body.get("input")
    given: Mapping[str, Any] = inputs if isinstance(inputs, Mapping) else {}
    if names:
        # The files of a case stand in the kit's folder.
        files = served.example_files or {name: name for name in names if name in given}
        parts = [*_files(files or {names[0]: names[0]}), *_fields(given, {*names, *files})]
        said = "curl, with files" if not to_file else "curl, with files in and out"
        return (Call(said, _joined(address + path, [*key, *store, *parts])),)
    if to_file:
        data = ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json_text(body))}"]
        return (Call("curl, into a file", _joined(address + path, [*key, *store, *data])),)
    return ()


def _files(files: Mapping[str, str]) -> Iterator[str]:
    for name, path in files.items():
        quoted = path.replace("\\", "\\\\").replace('"', '\\"')
        part = f'{name}=@"{quoted}"'
        yield f"-F {shlex.quote(part)}"


def _fields(values: Mapping[str, Any], done: set[str]) -> Iterator[str]:
    """Yield texts by their names, and everything else as one object in JSON."""
    rest: dict[str, Any] = {}
    for name, value in values.items():
        match value:
            case _ if name in done:
                continue
            case str():
                yield _field(name, value)
            case bool() | int() | float():
                yield _field(name, json.dumps(value))
            case _:
                rest[name] = value
    if rest:
        yield _field("input", json_text(rest))


def _field(name: str, text: str) -> str:
    # Unlike -F, it gives no character a meaning.
    return f"--form-string {shlex.quote(f'{name}={text}')}"


def _joined(url: str, options: list[str]) -> str:
    return " \\\n  ".join([f"curl {url}", *options])

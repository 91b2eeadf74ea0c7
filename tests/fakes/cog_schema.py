"""Writes the schema of a Cog project, then becomes Cog's server. Runs with Cog's packages.

``cog build`` writes the schema into the image, from the predictor's source; that program is not on
PyPI. This one writes the same fields from what Cog's SDK reads of the predictor's signature:
https://github.com/replicate/cog/blob/main/pkg/schema/openapi.go
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from cog import _adt, _inspector

_NULLABLE = (_adt.Repetition.OPTIONAL, _adt.Repetition.OPTIONAL_REPEATED)


def _input(field: Any, enums: dict[str, Any]) -> dict[str, Any]:
    form: dict[str, Any] = {"x-order": field.order}
    if field.choices:
        kind = field.type.primitive.json_type()["type"]
        enums[field.name] = {"title": field.name, "enum": field.choices, "type": kind}
        form["allOf"] = [{"$ref": f"#/components/schemas/{field.name}"}]
    else:
        form |= {"title": field.name.replace("_", " ").title(), **field.type.json_type()}
    if field.type.repetition in _NULLABLE:
        form["nullable"] = True
    if field.default is not None:
        form["default"] = json.loads(json.dumps(field.default, default=str))
    stated = {
        "description": field.description,
        "minimum": field.ge,
        "maximum": field.le,
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.regex,
        "deprecated": field.deprecated or None,
    }
    return {**form, **{name: value for name, value in stated.items() if value is not None}}


def schema_of(info: Any, *, streams: bool) -> dict[str, Any]:
    """Return the OpenAPI document of a predictor that Cog's SDK has inspected."""
    schemas: dict[str, Any] = {}
    properties = {name: _input(field, schemas) for name, field in info.inputs.items()}
    required = [
        name
        for name, field in info.inputs.items()
        if field.default is None and field.type.repetition not in _NULLABLE
    ]
    schemas["Input"] = {"type": "object", "properties": properties, "required": required}
    schemas["Output"] = info.output.json_type()
    post = {"x-cog-streaming": True} if streams else {}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Cog", "version": "0.1.0"},
        "paths": {"/predictions": {"post": post}},
        "components": {"schemas": schemas},
    }


def main(reference: str) -> None:
    """Write the schema of FILE.py:CLASS of this folder, and serve it."""
    file, _, class_name = reference.partition(":")
    sys.path[:0] = [str(Path.cwd()), str(Path(file).parent.resolve())]
    info = _inspector.create_predictor(Path(file).stem, class_name)
    source = Path(importlib.import_module(Path(file).stem).__file__ or "").read_text()
    target = Path(".cog/openapi_schema.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(schema_of(info, streams="@streaming" in source)))
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    os.execv(sys.executable, command)  # noqa: S606  no shell


if __name__ == "__main__":
    main(sys.argv[1])

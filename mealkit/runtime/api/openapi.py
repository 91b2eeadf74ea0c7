"""Builds the OpenAPI description of one kit: its requests with their bounds, answers and errors.

OpenAPI 3.1, from the models that check the requests: https://spec.openapis.org/oas/v3.1.1
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mealkit.errors import CATALOGUE, DataError, EngineError, MealkitError, RequestError
from mealkit.recipe.kit import Feature
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.answer_models import ErrorAnswer
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.endpoints import offered
from mealkit.runtime.api.file_answer import ANY_BYTES
from mealkit.runtime.api.file_schema import file_inputs
from mealkit.runtime.api.form_data import MEDIA_TYPE
from mealkit.runtime.api.kit_schema import Schema, schema_for_kit, without_json, without_tools
from mealkit.runtime.api.knowledge import KNOWLEDGE, Knowledge
from mealkit.runtime.api.schema_words import objects_of
from mealkit.runtime.api.served_model import ServedModel

_PLACE = "#/components/schemas/"
_JSON = "application/json"
_EVENTS = "text/event-stream"
# The classes of errors that a running kit answers with.
_ANSWERED: tuple[type[MealkitError], ...] = (RequestError, DataError, EngineError, MealkitError)
# Codes of a failed start, which no request is answered with.
_NEVER = frozenset({"WEIGHTS_MISMATCH", "WEIGHTS_MISSING"})


def describe(lock: Lock, served: ServedModel) -> dict[str, Any]:
    """Return the description of a kit; it changes when ``served`` learns from the first answer."""
    schemas: dict[str, Schema] = {}
    paths: dict[str, Any] = {}
    for endpoint in offered(served):
        paths[endpoint.path] = {"post": _operation(endpoint, served, schemas)}
    for known in KNOWLEDGE:
        paths[known.path] = {"get": _knowledge(known, schemas)}
    _add(schemas, ErrorAnswer)
    if Feature.TOOLS not in served.features:
        without_tools(schemas)
    if Feature.JSON_SCHEMA not in served.features:
        without_json(schemas)
    used = objects_of(paths, schemas)
    about = lock.about
    return {
        "openapi": "3.1.0",
        "info": {
            "title": about.name,
            "version": about.version,
            "summary": about.description or f"The model {served.model}, on {served.engine}",
            "description": _introduction(lock, served),
            "contact": _contact(lock),
            "license": {"name": about.license},
        },
        # Relative to the description's own address: a proxy may add a prefix.
        "servers": [{"url": "."}],
        "security": [{"key": []}, {"x-api-key": []}, {"api-key": []}, {}],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in used},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key of this kit; required if the kit has keys.",
                },
                **{name: _key_in(name) for name in ("x-api-key", "api-key")},
            },
            "headers": HEADERS,
        },
        "x-mealkit": {
            "recipe": str(lock.recipe),
            "salt": str(lock.salt),
            "model": served.model,
            "task": served.task.value,
            "engine": served.engine,
            "features": sorted(feature.value for feature in served.features),
            "prompts": {
                name: list(served.prompts.variables(name)) for name in served.prompts.names
            },
        },
    }


def problems_by_status() -> dict[int, list[str]]:
    """Return the codes of errors in answers to requests, by HTTP status."""
    found: dict[int, list[str]] = {}
    for code, entry in CATALOGUE.items():
        if entry.error in _ANSWERED and code not in _NEVER:
            found.setdefault(entry.http_status, []).append(code)
    return dict(sorted(found.items()))


def _operation(
    endpoint: Endpoint, served: ServedModel, schemas: dict[str, Schema]
) -> dict[str, Any]:
    name = endpoint.request.__name__
    request = schema_for_kit(_pop_definitions(_schema(endpoint.request), schemas), served)
    if endpoint.operation == "predict" and served.prediction:
        schemas["Input"] = _hoist(served.prediction["input"], "Input", schemas)
        request["properties"]["input"] = {"$ref": f"{_PLACE}Input"}
        if not served.prediction.get("streams"):
            request["properties"]["stream"] = {"enum": [False, None]}
    schemas[name] = request
    content = {_JSON: {"schema": _answer(endpoint, served, schemas)}}
    if endpoint.event and "stream" in request["properties"]:
        event = _add(schemas, endpoint.event)
        end = "the last one is `[DONE]`" if endpoint.ends_with_done else "`event:` has its type"
        said = f"Server-sent events: each `data:` is one of these, {end}."
        content[_EVENTS] = {"schema": {"description": said, "x-event": event}}
    if endpoint.gives_file(served):
        said = "The file itself, if Accept prefers its type, or this one, to JSON."
        content[ANY_BYTES] = {"schema": {"type": "string", "format": "binary", "description": said}}
    bodies = {_JSON: {"schema": {"$ref": _PLACE + name}, "example": endpoint.example_of(served)}}
    if endpoint.read_form and served.takes_files and "Input" in schemas:
        bodies[MEDIA_TYPE] = {"schema": _form_schema(request, schemas["Input"], served)}
    return {
        "operationId": endpoint.path.strip("/").replace("/", "_"),
        "summary": endpoint.summary,
        "description": _about(endpoint, served),
        "requestBody": {"required": True, "content": bodies},
        "responses": {
            "200": {"description": "The answer.", "headers": _headers(), "content": content},
            **_failures(),
        },
    }


def _about(endpoint: Endpoint, served: ServedModel) -> str:
    """Return what an endpoint does: for the paper's code, in the words of its author."""
    own = (served.prediction or {}).get("input", {}).get("description")
    if endpoint.operation == "predict" and isinstance(own, str):
        return own
    return (endpoint.request.__doc__ or "").strip()


def _form_schema(request: Schema, taken: Schema, served: ServedModel) -> Schema:
    """Return the schema of a form: the inputs side by side, files as they are."""
    fields = taken.get("properties", {})
    beside = {
        name: request["properties"][name] for name in ("seed", "stream") if name not in fields
    }
    files = set(file_inputs((served.prediction or {}).get("input")))
    return {
        "type": "object",
        "properties": beside
        | {name: _file_part(field) if name in files else field for name, field in fields.items()},
        "required": taken.get("required", []),
        "additionalProperties": False,
    }


def _file_part(field: Schema) -> Schema:
    file: Schema = {"type": "string", "format": "binary"}
    ways = [field, *field.get("anyOf", ())]
    part = {"type": "array", "items": file} if any("items" in way for way in ways) else file
    return {**part, **({"description": said} if (said := field.get("description")) else {})}


def _answer(endpoint: Endpoint, served: ServedModel, schemas: dict[str, Schema]) -> Schema:
    reference = _add(schemas, endpoint.answer)
    if endpoint.operation == "predict" and served.prediction:
        schemas["Output"] = _hoist(served.prediction["output"], "Output", schemas)
        schemas[endpoint.answer.__name__]["properties"]["output"] = {"$ref": f"{_PLACE}Output"}
    return reference


def _knowledge(known: Knowledge, schemas: dict[str, Schema]) -> dict[str, Any]:
    schema: Schema = _add(schemas, known.answer) if known.answer else {"type": "string"}
    responses = {
        str(status): {
            "description": said,
            "headers": _headers(),
            "content": {known.content_type: {"schema": schema}},
        }
        for status, said in known.statuses.items()
    }
    error = {_JSON: {"schema": {"$ref": _PLACE + ErrorAnswer.__name__}}}
    responses["default"] = {"description": "A problem.", "content": error}
    operation: dict[str, Any] = {
        "operationId": "get_"
        + (known.path.strip("/").replace("/", "_").replace("{", "").replace("}", "") or "start"),
        "summary": known.summary,
        "responses": responses,
    }
    if "{" in known.path:
        operation["parameters"] = [
            {
                "name": "name",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
            }
        ]
    return operation


def _failures() -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": _PLACE + ErrorAnswer.__name__}}}
    return {
        str(status): {
            "description": "\n".join(
                f"- `{code}` ({CATALOGUE[code].owner.value}): {CATALOGUE[code].meaning}"
                for code in codes
            ),
            "headers": _headers(),
            "content": content,
        }
        for status, codes in problems_by_status().items()
    }


HEADERS: dict[str, Any] = {
    "X-Mealkit-Data-Warnings": {
        "description": "The violations of the data contract that the kit only warns about, as "
        "FIELD=RULE, separated by commas; only if there are any.",
        "schema": {"type": "string"},
    },
    "X-Mealkit-Recipe": {
        "description": "The recipe digest: the hash of everything that can change an answer.",
        "schema": {"type": "string"},
    },
    "X-Mealkit-Salt": {
        "description": "The salt digest: the hash of what decides an answer in the first place.",
        "schema": {"type": "string"},
    },
    "X-Mealkit-System-Prompt": {
        "description": "What was done with the system prompt of a kit that pins one: added (the "
        "caller sent none), before or instead (of the caller's own), left-out (for the caller's).",
        "schema": {"type": "string"},
    },
    "X-Request-Id": {
        "description": "The request's id, which is also in the kit's log.",
        "schema": {"type": "string"},
    },
    "X-Mealkit-Seed": {
        "description": "The seed of the answer's random numbers.",
        "schema": {"type": "string"},
    },
}


def _headers() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS}


def _key_in(header: str) -> dict[str, str]:
    description = "The same key, for clients of other APIs."
    return {"type": "apiKey", "in": "header", "name": header, "description": description}


def _introduction(lock: Lock, served: ServedModel) -> str:
    paper = lock.about.paper
    lines = [
        f"The model `{served.model}` ({lock.model.license}), served by {served.engine}.",
        f"Recipe `{lock.recipe}`: every answer has it in `X-Mealkit-Recipe`.",
        "A parameter that is unknown, or that this kit does not support, is refused by name.",
    ]
    if lock.data:
        lines.append("Requests must meet the kit's data contract: `data` in `/v1/manifest`.")
    if paper:
        lines.insert(0, f"From the paper: {paper.title}.")
    return "\n\n".join(lines)


def _contact(lock: Lock) -> dict[str, str]:
    owner = lock.about.owner
    if owner.contact.startswith("mailto:"):
        return {"name": owner.team, "email": owner.contact.removeprefix("mailto:")}
    return {"name": owner.team, "url": owner.contact}


def _add(schemas: dict[str, Schema], kind: type[BaseModel]) -> Schema:
    """Add a model to the schemas; return the reference to it."""
    if kind.__name__ not in schemas:
        schemas[kind.__name__] = _pop_definitions(_schema(kind), schemas)
    return {"$ref": _PLACE + kind.__name__}


def _schema(kind: type[BaseModel]) -> Schema:
    schema: Schema = _untitled(kind.model_json_schema(ref_template=_PLACE + "{model}"))
    return schema


def _pop_definitions(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    schemas.update(schema.pop("$defs", {}))
    return schema


def _hoist(schema: Mapping[str, Any], prefix: str, schemas: dict[str, Schema]) -> Schema:
    """Add the definitions of another schema to the schemas; return it with new references."""
    text = json.dumps(schema).replace('"#/$defs/', f'"{_PLACE}{prefix}.')
    form: Schema = json.loads(text)
    for name, definition in form.pop("$defs", {}).items():
        schemas[f"{prefix}.{name}"] = definition
    form.pop("$schema", None)
    return form


def _untitled(form: Any) -> Any:
    """Remove the titles that pydantic creates from names, but not a field called title."""
    match form:
        case dict():
            kept = {
                name: _untitled(value)
                for name, value in form.items()
                if not (name == "title" and isinstance(value, str))
            }
            return dict(_without_null_default(kept))
        case list():
            return [_untitled(item) for item in form]
        case _:
            return form


def _without_null_default(form: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in form.items() if (name, value) != ("default", None))

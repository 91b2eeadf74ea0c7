"""Writes the API's reference page: each endpoint's parameters, answers and refused parameters.

It is generated from the models that check the requests. The API of one kit is in its own
``/openapi.json``.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pydantic import BaseModel

from mealkit.engines.engine import Recipe
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import CATALOGUE, problem
from mealkit.recipe.kit import Feature, Override, Task
from mealkit.runtime.api.answer_models import ErrorAnswer
from mealkit.runtime.api.endpoint import Endpoint
from mealkit.runtime.api.endpoints import ENDPOINTS
from mealkit.runtime.api.kit_schema import schema_for_kit
from mealkit.runtime.api.knowledge import KNOWLEDGE
from mealkit.runtime.api.openapi import HEADERS, problems_by_status
from mealkit.runtime.api.prompt_set import Prompts
from mealkit.runtime.api.sampling import MAX_TOKENS_NAMES, NUMBERS
from mealkit.runtime.api.schema_words import Words, objects_of, plain, words_of
from mealkit.runtime.api.served_model import ServedModel
from mealkit.runtime.gateway.problem_answers import problem_answer
from mealkit.runtime.urls import LIVE_PATHS, READY_PATHS

_ABOUT = """\
All parameters and answers of all kits. *One* kit accepts fewer: its own `/openapi.json` and
`/docs` show which endpoints it has, what it pins, and the bounds within which a caller may choose.
The names are OpenAI's; parameters that OpenAI does not have are named as in vLLM. A parameter that
is not listed here is refused with its name, unless its value is null: null means left out.

[Call a kit](../how-to/call-a-kit.md) has examples; [One API](../explanation/one-api.md) explains
the reasons.
"""
_HOW_TO_READ = """\
In the tables of parameters, **bold** ones are required. The column *needs* names a feature of the
kit, or another parameter that must be given with this one. `overrides` marks a parameter that the
kit sets: leave it out, send the kit's own value, or choose within the bounds that `overrides` in
kit.yaml sets for it.
"""
_BESIDE = {
    "tool_choice": "`tools`",
    "parallel_tool_calls": "`tools`",
    "top_logprobs": "`logprobs: true`",
    "stream_options": "`stream: true`",
    "variables": "`prompt`",
}
_FEWER = "`overrides`, for more than the kit's"
_OPEN = {**dict.fromkeys(NUMBERS, "`overrides`"), **dict.fromkeys(MAX_TOKENS_NAMES, _FEWER)}


def api_page() -> str:
    """Return the page."""
    schemas: dict[str, Any] = {}
    shown = [(_schema(item.request, schemas), item) for item in ENDPOINTS]
    # Two endpoints may have the same parameters.
    once = {item.request: (schema, item) for schema, item in reversed(shown)}
    lines = ["# API", "", _ABOUT, *_endpoints(), *_features(), *_knowledge()]
    lines += ["", "## Requests", "", _HOW_TO_READ.rstrip()]
    for schema, endpoint in reversed(once.values()):
        lines += _request(schema, endpoint)
    requests = [schema for schema, _ in shown]
    lines += ["", "## Parts of requests", ""]
    for name in objects_of(requests, schemas):
        lines += [*_object(name, schemas[name]), ""]
    lines += [*_answers(schemas), *_errors(), *_headers()]
    return "\n".join(lines) + "\n"


def _endpoints() -> Iterator[str]:
    yield from ("## Endpoints", "", "| POST | task | feature | streams | what it does |")
    yield "|---|---|---|---|---|"
    for endpoint in ENDPOINTS:
        tasks = [task for task in Task if endpoint.is_offered(_offer(task, frozenset(Feature)))]
        said = "any" if len(tasks) == len(Task) else ", ".join(task.value for task in tasks)
        needed = [item for item in Feature if not endpoint.is_offered(_offer(tasks[0], _but(item)))]
        anchor = _anchor(_title(endpoint))
        yield (
            f"| [`{endpoint.path}`](#{anchor}) | {said} | {_features_of(needed)} | "
            f"{'yes' if endpoint.event else ''} | {endpoint.summary} |"
        )


def _features() -> Iterator[str]:
    yield from ("", "## Features", "")
    yield (
        "What engines can do at most, beyond a task's plain answer. A kit may have fewer: without "
        "a chat template it has no `chat`, with `tool_calls: none` no `tools`. A kit's own list is "
        "in `/v1/metadata`. A request that needs a missing feature is refused with the engine's "
        "name."
    )
    yield from ("", "| engine | task | features |", "|---|---|---|")
    for name in engine_names():
        recipe = recipe_of(name)
        for task in recipe.hyperparameters:
            found = _most_features(recipe, task)
            told = [feature for feature in Feature if feature in found]
            yield f"| {name} | {task.value} | {_features_of(told)} |"


def _most_features(recipe: Recipe, task: Task) -> frozenset[Feature]:
    fields = recipe.hyperparameters[task].model_fields
    values = {name: field.default for name, field in fields.items()}
    settings = {name: field.default for name, field in recipe.settings.model_fields.items()}
    return recipe.features(task, {**values, "tool_calls": "hermes"}, settings)


def _knowledge() -> Iterator[str]:
    yield from ("", "## Information about a kit", "")
    yield "Every kit has these endpoints. None of them makes the engine compute."
    yield from ("", "| GET | what it does |", "|---|---|")
    aliases = {paths[0]: paths[1:] for paths in (LIVE_PATHS, READY_PATHS)}
    for known in KNOWLEDGE:
        others = ", ".join(f"`{path}`" for path in aliases.get(known.path, ()))
        also = f" Also as {others}." if others else ""
        yield f"| `{known.path}` | {known.summary}.{also} |"


def _request(schema: dict[str, Any], endpoint: Endpoint) -> Iterator[str]:
    task = next(task for task in Task if endpoint.is_offered(_offer(task, frozenset(Feature))))
    yield from ("", f"## {_title(endpoint)}", "", f"{_text(endpoint.summary)}.", "")
    yield from ("| parameter | value | needs | meaning |", "|---|---|---|---|")
    required = schema.get("required", ())
    names = list(schema["properties"])
    for name in sorted(names, key=lambda item: item not in required):
        field = schema["properties"][name]
        title = f"**`{name}`**" if name in required else f"`{name}`"
        features = [
            item
            for item in Feature
            if endpoint.is_offered(_offer(task, _but(item))) and _needs(schema, name, task, item)
        ]
        beside = _BESIDE.get(name, "")
        # One endpoint may ask for log probabilities in another way than the others.
        if beside.strip("`").partition(":")[0] not in names:
            beside = ""
        given = (_features_of(features), beside, _OPEN.get(name, ""))
        # A feature and a parameter may have one name.
        needs = ", ".join(dict.fromkeys(item for item in given if item))
        meaning = _text(field.get("description", ""))
        yield f"| {title} | {_value(field)} | {needs} | {meaning} |"
    if endpoint.refusals:
        yield from (
            "",
            "Refused parameters:",
            "",
            "| parameter | why | value that counts as left out |",
            "|---|---|---|",
        )
        for name, refusal in sorted(endpoint.refusals.items()):
            hint = f"; {refusal.hint}" if refusal.hint else ""
            neutral = ", ".join(_code(value) for value in refusal.neutral)
            if refusal.only_with:
                neutral = f"any: it has no effect without `{refusal.only_with}`"
            yield f"| `{name}` | {refusal.why}{hint} | {neutral} |"


def _needs(schema: dict[str, Any], name: str, task: Task, feature: Feature) -> bool:
    """Return whether a parameter is available only with a feature."""
    before = schema_for_kit(deepcopy(schema), _offer(task, frozenset(Feature)))["properties"]
    after = schema_for_kit(deepcopy(schema), _offer(task, _but(feature)))["properties"]
    return name in before and name not in after


def _object(name: str, schema: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", _text(schema.get("description", "")), "")
    yield from _fields(schema)


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| field | value | meaning |", "|---|---|---|")
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        title = f"**`{name}`**" if name in required else f"`{name}`"
        yield f"| {title} | {_value(field)} | {_text(field.get('description', ''))} |"


def _answers(schemas: dict[str, Any]) -> Iterator[str]:
    yield from ("## Answers", "")
    yield (
        "Fields in **bold** are always present; engines may add others. A stream consists of "
        "server-sent events: `data:` with an object, and at the end `data: [DONE]`. An error after "
        "the first piece is sent as an event with an `error`, and ends the stream. The events of "
        "`/v1/responses` also have `event:` with their type; the last one is "
        "`response.completed`, `response.incomplete` or `response.failed`, without `[DONE]`."
    )
    yield from ("", "| endpoint | answer | event of a stream |", "|---|---|---|")
    for endpoint in ENDPOINTS:
        event = (
            f"[{endpoint.event.__name__}](#{endpoint.event.__name__.lower()})"
            if (endpoint.event)
            else ""
        )
        name = endpoint.answer.__name__
        yield f"| `{endpoint.path}` | [{name}](#{name.lower()}) | {event} |"
    kinds = [kind for item in ENDPOINTS for kind in (item.answer, item.event) if kind]
    kinds += [known.answer for known in KNOWLEDGE if known.answer]
    parts: dict[str, Any] = {}
    tops = {kind.__name__: _schema(kind, parts) for kind in kinds}
    for name, schema in tops.items():
        yield from ("", *_object(name, schema))
    for name in objects_of(list(tops.values()), parts):
        if name not in tops and name not in schemas:
            yield from ("", *_object(name, parts[name]))


def _errors() -> Iterator[str]:
    parts: dict[str, Any] = {}
    _schema(ErrorAnswer, parts)
    yield from ("", "## Errors", "")
    yield 'Every error has the form `{"error": {...}}`, whatever its cause.'
    for name, schema in parts.items():
        yield from ("", *_object(name, schema))
    yield from ("", "| status | code | owner | Retry-After | meaning |", "|---|---|---|---|---|")
    for status, codes in problems_by_status().items():
        for code in codes:
            answer = problem_answer(problem(code, ""), "")
            after = answer.headers.get("retry-after", "")
            entry = CATALOGUE[code]
            yield f"| {status} | `{code}` | {entry.owner} | {after} | {_text(entry.meaning)} |"


def _headers() -> Iterator[str]:
    yield from ("", "## Headers", "", "| response header | meaning |", "|---|---|")
    for name, header in HEADERS.items():
        yield f"| `{name}` | {_text(header['description'])} |"
    yield "| `Retry-After` | After how many seconds to try again. |"
    yield from ("", "| request header | meaning |", "|---|---|")
    yield "| `Authorization: Bearer KEY` | The caller's API key, if the kit has keys. |"
    yield "| `X-Request-Id` | Becomes the request's id; else the kit makes one. |"


def _title(endpoint: Endpoint) -> str:
    paths = [item.path for item in ENDPOINTS if item.request is endpoint.request]
    return " and ".join(f"POST {path}" for path in paths)


def _anchor(title: str) -> str:
    return "".join(char for char in title.lower() if char.isalnum() or char in "-_ ").replace(
        " ", "-"
    )


def _offer(task: Task, features: frozenset[Feature]) -> ServedModel:
    """Return the API of a kit whose every parameter may be overridden by callers."""
    return ServedModel(
        model="MODEL",
        engine="ENGINE",
        task=task,
        features=features,
        hyperparameters={},
        overrides=dict.fromkeys(NUMBERS, Override()),
        prompts=Prompts({}),
    )


def _but(feature: Feature) -> frozenset[Feature]:
    return frozenset(Feature) - {feature}


def _schema(kind: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a model's schema; the models it uses are added to the schemas."""
    schema = kind.model_json_schema()
    schemas.update(schema.pop("$defs", {}))
    return schema


def _value(schema: Mapping[str, Any]) -> str:
    words: Words = words_of(schema)
    value = "".join(f"[{text}](#{text.lower()})" if is_name else text for text, is_name in words)
    most = _most_items(schema)
    return value.replace("|", "\\|") + (f", {most} at most" if most else "")


def _most_items(schema: Mapping[str, Any]) -> Any:
    ways = [schema, *schema.get("anyOf", ())]
    return next((way["maxItems"] for way in ways if way.get("maxItems", 0) > 1), None)


def _code(value: Any) -> str:
    return f"`{plain(value)}`" if value else f"`{json.dumps(value)}`"


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


def _features_of(features: list[Feature]) -> str:
    return ", ".join(f"`{feature.value}`" for feature in features)

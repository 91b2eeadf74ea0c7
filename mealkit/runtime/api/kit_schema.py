"""Adapts a request's schema to one kit: its pinned values, bounds, prompts and features.

The endpoint accepts what the schema allows. The exception is rules between tools that JSON Schema
cannot express, such as that ``tool_choice`` names one of ``tools``, or that two parameters may be
given together if they are equal. Parameters and values that the
endpoint always refuses are not in the schema.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.named_prompt import TEXT
from mealkit.runtime.api.sampling import MAX_TOKENS_NAMES, NUMBERS, SAME_AS_NEUTRAL
from mealkit.runtime.api.served_model import TRUNCATING, ServedModel, show_bounds

Schema = dict[str, Any]

_NEEDS: Mapping[str, Feature] = {
    "n": Feature.MULTIPLE,
    "logit_bias": Feature.LOGIT_BIAS,
    "logprobs": Feature.LOGPROBS,
    "top_logprobs": Feature.LOGPROBS,
    "response_format": Feature.JSON_SCHEMA,
    "tools": Feature.TOOLS,
    "tool_choice": Feature.TOOLS,
    "parallel_tool_calls": Feature.TOOLS,
}
_NULL: Schema = {"type": "null"}
_CALLS = ("/InputCall", "/InputCallOutput")
_CONTINUING: Schema = {
    "if": {
        "properties": {"continue_final_message": {"const": True}},
        "required": ["continue_final_message"],
    },
    "then": {
        "properties": {
            "add_generation_prompt": {"not": {"const": True}},
            "response_format": {"anyOf": [_NULL, {"properties": {"type": {"const": "text"}}}]},
        }
    },
}
# The fields that readers need first.
_FIRST = ("model", "messages", "prompt", "variables", "input", "query", "documents")


def schema_for_kit(schema: Schema, served: ServedModel) -> Schema:
    """Return a request's schema, limited to what this kit accepts."""
    fields: dict[str, Schema] = {
        name: field
        for name, field in schema["properties"].items()
        if name not in _NEEDS or _NEEDS[name] in served.features
    }
    for name in NUMBERS:
        if name in fields:
            fields[name] = _number(name, fields[name], served)
    for name in MAX_TOKENS_NAMES:
        if name in fields:
            fields[name] = _max_tokens(fields[name], served)
    fields["model"] = {
        **_names(served, is_needed="model" in schema.get("required", [])),
        "description": fields["model"]["description"],
    }
    _limit_embeddings(fields, served)
    if "messages" in fields and Feature.CHAT not in served.features:
        del fields["messages"]
    if "prompt" in fields:
        _describe_prompts(fields, served)
    rules = _rules(fields, served)
    first = {name: fields[name] for name in _FIRST if name in fields}
    return {**schema, "properties": first | fields, **({"allOf": rules} if rules else {})}


def without_json(schemas: dict[str, Schema]) -> None:
    """Remove the formats of JSON from the schema of a response's text."""
    if "TextOptions" in schemas:
        form = schemas["TextOptions"]["properties"]["format"]["anyOf"][0]
        form["oneOf"] = [kind for kind in form["oneOf"] if kind["$ref"].endswith("/PlainText")]
        form["discriminator"]["mapping"] = {"text": form["oneOf"][0]["$ref"]}


def _names(served: ServedModel, *, is_needed: bool) -> Schema:
    names: list[str | None] = [served.model, *sorted(served.aliases)]
    if is_needed:
        return {"enum": names} if served.aliases else {"const": served.model}
    return {"enum": [*names, None]}


def without_tools(schemas: dict[str, Schema]) -> None:
    """Remove calls of tools from the schemas of messages and of a response's input."""
    for schema in schemas.values():
        for way in schema.get("properties", {}).get("input", {}).get("anyOf", []):
            kinds = way.get("items", {}).get("oneOf", [])
            kinds[:] = [kind for kind in kinds if not kind["$ref"].endswith(_CALLS)]
    message = schemas.get("AssistantMessage")
    if message is None:
        return
    del message["anyOf"], message["properties"]["tool_calls"], schemas["ToolMessage"]
    message["properties"]["content"]["anyOf"].remove(_NULL)
    message["required"] = [*message["required"], "content"]
    for schema in schemas.values():
        ways = schema.get("properties", {}).get("messages", {}).get("anyOf", [])
        for way in ways:
            if "items" in way:
                way["items"]["discriminator"]["mapping"].pop("tool", None)
                kinds = way["items"]["oneOf"]
                kinds[:] = [kind for kind in kinds if not kind["$ref"].endswith("/ToolMessage")]


def _limit_embeddings(fields: dict[str, Schema], served: ServedModel) -> None:
    if "dimensions" in fields and served.dimensions:
        fields["dimensions"] = _pinned(fields["dimensions"], served.dimensions)
    if "truncate" in fields and served.hyperparameters.get("overlong") != TRUNCATING:
        only = {"enum": [False, "NONE", None]}
        fields["truncate"] = {**only, "description": fields["truncate"]["description"]}


def _number(name: str, field: Schema, served: ServedModel) -> Schema:
    pinned = served.hyperparameters.get(name)
    bounds = served.overrides.get(name)
    same = SAME_AS_NEUTRAL.get(name)
    if bounds is None:
        said = "it is not a hyperparameter of this kit" if pinned is None else f"pinned to {pinned}"
        only = _pinned(field, pinned)
        if same is not None and pinned == 0:
            only["enum"] = [*only["enum"], same]
        return {**only, "description": f"{field['description']} Here: {said}."}
    said = f"{show_bounds(bounds)}; {pinned} if omitted"
    bounded = _bounded(field, bounds.minimum, bounds.maximum, pinned)
    if same is not None and (not bounds.minimum or pinned == 0):
        bounded["anyOf"].append({"const": same})
    return {
        **bounded,
        "description": f"{field['description']} Here: {said}.",
        "default": pinned,
    }


def _max_tokens(field: Schema, served: ServedModel) -> Schema:
    pinned = served.hyperparameters.get("max_tokens")
    bounds = served.overrides.get("max_tokens")
    high = bounds.maximum if bounds else pinned
    said = f"{pinned} if omitted" + (f", at most {high:g}" if high is not None else "")
    bounded = _bounded(field, bounds.minimum if bounds else None, None, pinned)
    bounded["anyOf"].append({"const": -1})
    return {
        **bounded,
        "description": f"{field['description']} Here: {said}; a larger number is lowered.",
    }


def _pinned(field: Schema, value: Any) -> Schema:
    return {
        "enum": [value, None] if value is not None else [None],
        "description": field["description"],
    }


def _bounded(field: Schema, low: float | None, high: float | None, pinned: Any) -> Schema:
    """Return a field whose numbers are within the bounds, or equal the kit's value."""
    number = dict(field["anyOf"][0])
    for name, bound, tighter in (("minimum", low, max), ("maximum", high, min)):
        if bound is not None:
            plain = int(bound) if float(bound).is_integer() else bound
            number[name] = tighter(plain, number[name]) if name in number else plain
    lowest, highest = number.get("minimum", pinned), number.get("maximum", pinned)
    is_within = pinned is None or lowest <= pinned <= highest
    return {"anyOf": [number, *([] if is_within else [{"const": pinned}]), _NULL]}


def _describe_prompts(fields: dict[str, Schema], served: ServedModel) -> None:
    """List the kit's prompts; a request with ``variables`` may name a prompt by a string."""
    takes_names = "variables" in fields
    applies = "input" in fields or "query" in fields
    names = [
        name
        for name in served.prompts.names
        if not applies or TEXT in served.prompts.variables(name)
    ]
    objects = [_prompt_object(name, served, applies=applies) for name in names]
    field = fields["prompt"]
    if takes_names:
        if not names:
            del fields["prompt"], fields["variables"]
            return
        ways = [{"enum": names}, *objects, _NULL]
    else:
        ways = [way for way in field["anyOf"] if "$ref" not in way] + objects
    if takes_names:
        fields["variables"] = {
            "anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, _NULL],
            "description": fields["variables"]["description"],
        }
    said = "; ".join(f"{name}({', '.join(served.prompts.variables(name))})" for name in names)
    here = f" Here: {said}." if names else ""
    fields["prompt"] = {"anyOf": ways, "description": field["description"] + here}


def _prompt_object(name: str, served: ServedModel, *, applies: bool) -> Schema:
    variables = _variables(name, served, applies=applies)
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "variables": variables},
        "required": ["name", "variables"] if variables["required"] else ["name"],
        "additionalProperties": False,
    }


def _variables(name: str, served: ServedModel, *, applies: bool) -> Schema:
    needed = [
        variable
        for variable in served.prompts.variables(name)
        if not (applies and variable == TEXT)
    ]
    return {
        "type": "object",
        "properties": {variable: {"type": "string"} for variable in needed},
        "required": needed,
        "additionalProperties": False,
    }


def _rules(fields: Mapping[str, Schema], served: ServedModel) -> list[Schema]:
    """Return the rules between parameters, such as ``top_logprobs`` only with ``logprobs``."""
    rules: list[Schema] = []
    if {"top_logprobs", "logprobs"} <= fields.keys():
        rules.append(_only_with("top_logprobs", {"minimum": 1}, "logprobs", {"const": True}))
    if "max_completion_tokens" in fields:
        # Accepted if they are equal, which JSON Schema cannot express.
        both = {"max_tokens": {"not": _NULL}, "max_completion_tokens": {"not": _NULL}}
        rules.append({"not": {"properties": both, "required": list(both)}})
    if "continue_final_message" in fields:
        rules.append(_CONTINUING)
    if "messages" in fields:
        ways = [
            {"required": [name], "properties": {name: {"not": _NULL}}}
            for name in ("messages", "prompt")
            if name in fields
        ]
        rules.append({"oneOf" if "variables" not in fields else "anyOf": ways})
    if "variables" in fields:
        applies = "messages" not in fields
        rules.append(_prompts_rule(served, applies=applies))
    return rules


def _only_with(name: str, least: Schema, other: str, value: Schema) -> Schema:
    given = {"properties": {name: {"type": "integer", **least}}, "required": [name]}
    return {"if": given, "then": {"properties": {other: value}, "required": [other]}}


def _prompts_rule(served: ServedModel, *, applies: bool) -> Schema:
    """Return the rule that a prompt that is named by a text has its variables beside it.

    One rule with a way for each prompt: tools that generate requests multiply the rules' ways.
    """
    known = {name: _variables(name, served, applies=applies) for name in served.prompts.names}
    needy = [name for name, variables in known.items() if variables["required"]]
    without: dict[str, Schema] = {"variables": _NULL, "prompt": {"not": {"enum": needy}}}
    if not needy:
        del without["prompt"]
    given = [
        {
            "properties": {"prompt": {"const": name}, "variables": variables},
            "required": ["prompt", "variables"],
        }
        for name, variables in known.items()
    ]
    return {"anyOf": [{"properties": without}, *given]}

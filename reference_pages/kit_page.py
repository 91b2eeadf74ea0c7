"""Writes the reference page of kit.yaml: every field with its type, default and effect."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mealkit.engines.registry import engine_names, recipe_of
from mealkit.kit.schema import kit_schema, model_schema
from mealkit.recipe.answers import Classification, Effect
from mealkit.recipe.kit import Kit

_EFFECTS = {Effect.CHANGES: "yes", Effect.MAY_CHANGE: "may", Effect.KEEPS: "no"}
_HEAD = ("| field | value | changes answers | meaning |", "|---|---|---|---|")


_ABOUT = (
    "Fields in **bold** are required. A field that changes answers is part of the salt digest and "
    "of the recipe digest, one that may change them of the recipe digest only, and the others of "
    "neither: [What changes an answer](../explanation/what-changes-an-answer.md)."
)


def kit_page() -> str:
    """Return the page."""
    schema = kit_schema()
    definitions = schema["$defs"]
    lines = ["# kit.yaml", "", _ABOUT, "", *_table(Kit, schema, definitions)]
    for model in models_below(Kit):
        lines += ["", f"## {model.__name__}", "", (model.__doc__ or "").strip(), ""]
        lines += _table(model, definitions[model.__name__], definitions)
    for name in engine_names():
        recipe = recipe_of(name)
        lines += ["", f"## Engine {name}", ""]
        for task, hyperparameters in recipe.hyperparameters.items():
            lines += [f"`hyperparameters` for the task {task.value}:", ""]
            lines += [*_engine_table(hyperparameters), ""]
        lines += ["`runtime.settings`:", "", *_engine_table(recipe.settings)]
    return "\n".join(lines) + "\n"


def _engine_table(model: type[BaseModel]) -> Iterator[str]:
    schema = model_schema(model, "")
    return _table(model, schema, schema.get("$defs", {}))


def models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    """Return the models that a model's fields use, each once, in reading order."""
    found: dict[type[BaseModel], None] = {}

    def look(annotation: Any) -> None:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            if annotation not in found:
                found[annotation] = None
                for field in annotation.model_fields.values():
                    look(field.annotation)
            return
        for part in get_args(annotation):
            look(part)

    for field in model.model_fields.values():
        look(field.annotation)
    return list(found)


def _table(
    model: type[BaseModel], schema: dict[str, Any], definitions: dict[str, Any]
) -> Iterator[str]:
    yield from _HEAD
    required = schema.get("required", ())
    # The field that names the kind comes first, then the required fields.
    names = {field.alias or name: field for name, field in model.model_fields.items()}
    for name in sorted(names, key=lambda item: (item != "source", item not in required)):
        form, field = schema["properties"][name], names[name]
        title = f"**`{name}`**" if name in required else f"`{name}`"
        value, text = field_words(form, field, definitions, is_required=name in required)
        yield f"| {title} | {value} | {_effect(field)} | {text} |"


def field_words(
    form: dict[str, Any], field: FieldInfo, definitions: dict[str, Any], *, is_required: bool
) -> tuple[str, str]:
    """Return the words for a field's value and for its meaning."""
    value = value_words(form, definitions)
    if not is_required and form.get("default") not in (None, {}, []):
        value += f", else {_plain(form['default'])}"
    # A row of a table is one line.
    text = " ".join((field.description or "").split())
    return value, text.replace("|", "\\|").replace("``", "`")


def _effect(field: FieldInfo) -> str:
    marks = [item for item in field.metadata if isinstance(item, Classification)]
    return _EFFECTS[marks[0].effect] if marks else "yes"


def value_words(form: dict[str, Any], definitions: dict[str, Any]) -> str:
    """Return a type as words."""
    match form:
        case {"$ref": reference}:
            return _linked(str(reference).rpartition("/")[2], definitions)
        case {"anyOf": list() as forms} | {"oneOf": list() as forms}:
            kinds = [item for item in forms if item.get("type") != "null"]
            return " or ".join(value_words(item, definitions) for item in kinds)
        case {"items": items}:
            return f"list of {value_words(items, definitions)}"
        case {"patternProperties": dict() as patterns}:
            return f"mapping to {value_words(next(iter(patterns.values())), definitions)}"
        case {"additionalProperties": dict() as item}:
            return f"mapping to {value_words(item, definitions)}"
        case _:
            return _simple(form)


def _linked(name: str, definitions: dict[str, Any]) -> str:
    target = definitions[name]
    if "properties" in target:
        return f"[{name}](#{name.lower()})"
    return _simple(target)


def _simple(form: dict[str, Any]) -> str:
    choices = [form["const"]] if "const" in form else form.get("enum", [])
    if choices:
        return " or ".join(f"`{value}`" for value in choices)
    if "KiB" in form.get("pattern", ""):
        return "size"
    if form.get("format") == "date":
        return "day"
    if form.get("type") == "integer":
        return f"whole number, {form.get('minimum', 'any')} to {form.get('maximum', 'any')}"
    return _NAMES.get(form.get("type", ""), "any")


_NAMES = {"string": "text", "boolean": "`true` or `false`", "number": "number"}


def _plain(default: Any) -> str:
    if isinstance(default, dict):
        return "the defaults of its fields"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return f"`[{', '.join(str(item) for item in default)}]`"
    return f"`{default}`"

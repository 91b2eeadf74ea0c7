"""The JSON Schema of kit.yaml with the hyperparameters and settings of all engines."""

from collections.abc import Iterator
from typing import Any

from mealkit.engines.engine import Recipe
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.kit.schema import kit_schema, model_schema
from mealkit.recipe.kit import Task


def full_schema() -> dict[str, Any]:
    """Return the schema of a kit for all installed engines."""
    schema = kit_schema()
    definitions: dict[str, Any] = schema.pop("$defs")
    definitions["Runtime"]["properties"]["engine"] = {
        "enum": engine_names(),
        "description": definitions["Runtime"]["properties"]["engine"]["description"],
    }
    rules = []
    for name in engine_names():
        recipe = recipe_of(name)
        rules.append(_settings_rule(recipe, definitions))
        rules.extend(_hyperparameter_rules(recipe, definitions))
    return {**schema, "allOf": rules, "$defs": definitions}


def _settings_rule(recipe: Recipe, definitions: dict[str, Any]) -> dict[str, Any]:
    name = _define(f"{recipe.name}.settings", recipe.settings, definitions)
    then = {"properties": {"runtime": {"properties": {"settings": {"$ref": name}}}}}
    return {"if": _when(recipe), "then": then}


def _hyperparameter_rules(recipe: Recipe, definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for task, model in recipe.hyperparameters.items():
        name = _define(f"{recipe.name}.{task.value}", model, definitions)
        then: dict[str, Any] = {"properties": {"hyperparameters": {"$ref": name}}}
        if any(field.is_required() for field in model.model_fields.values()):
            then["required"] = ["hyperparameters"]
        yield {"if": _when(recipe, task), "then": then}


def _define(name: str, model: Any, definitions: dict[str, Any]) -> str:
    """Add a model's schema to the definitions; return the reference to it."""
    schema = model_schema(model, f"{name}.")
    definitions.update(schema.pop("$defs", {}))
    definitions[name] = schema
    return f"#/$defs/{name}"


def _when(recipe: Recipe, task: Task | None = None) -> dict[str, Any]:
    """Return the condition that a kit uses an engine, and a task if one is given."""
    engine = {"properties": {"engine": {"const": recipe.name}}, "required": ["engine"]}
    condition: dict[str, Any] = {"properties": {"runtime": engine}, "required": ["runtime"]}
    if task is None:
        return condition
    if task.value == recipe.default_task.value:  # also if the kit does not name a task
        model: dict[str, Any] = {"properties": {"task": {"enum": [task.value, None]}}}
    else:
        model = {"properties": {"task": {"const": task.value}}, "required": ["task"]}
    condition["properties"]["model"] = model
    return condition

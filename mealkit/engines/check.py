"""The parts of a kit that its engine types: hyperparameters and settings, checked and in full.

Refuses an unknown engine, a task that the engine does not do, and every value its models refuse.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from mealkit.engines.recipe import Recipe
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import Problem, problem
from mealkit.kit.document import Document, Path
from mealkit.kit.load import LoadedKit
from mealkit.kit.model import Task
from mealkit.kit.problems import problems_of


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What an engine makes of a kit; the values hold only when there are no problems."""

    task: Task
    hyperparameters: Mapping[str, JsonValue]
    """Every hyperparameter, those that the kit left out too."""
    settings: Mapping[str, JsonValue]
    """Every flag, those that the kit left out too."""
    problems: tuple[Problem, ...]


def check_engine_parts(loaded: LoadedKit) -> EngineParts:
    """Check what the kit asks of its engine; every problem names its line."""
    kit, lines = loaded.kit, loaded.lines
    task = kit.model.task or Task.EMBEDDINGS
    if kit.runtime.engine not in engine_names():
        return EngineParts(task, {}, {}, (_unknown_engine(kit.runtime.engine, lines),))
    recipe = recipe_of(kit.runtime.engine)
    task = kit.model.task or recipe.default_task
    if task not in recipe.hyperparameters:
        return EngineParts(task, {}, {}, (_unknown_task(task, recipe, lines),))
    hyperparameters, wrong_values = _in_full(
        recipe.hyperparameters[task], kit.hyperparameters, lines, ("hyperparameters",)
    )
    settings, wrong_flags = _in_full(
        recipe.settings, kit.runtime.settings, lines, ("runtime", "settings")
    )
    return EngineParts(task, hyperparameters, settings, (*wrong_values, *wrong_flags))


def _in_full(
    model: type[BaseModel], values: dict[str, JsonValue], lines: Document, place: Path
) -> tuple[dict[str, Any], list[Problem]]:
    try:
        checked = model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        return {}, problems_of(error, model, values, lines, place)
    return checked.model_dump(mode="json", by_alias=True), []


def _unknown_engine(name: str, lines: Document) -> Problem:
    hint = f"choose one of {', '.join(engine_names())}"
    where = lines.where(("runtime", "engine"))
    return problem("KIT_INVALID", f"there is no engine {name!r}", where=where, hint=hint)


def _unknown_task(task: Task, recipe: Recipe, lines: Document) -> Problem:
    hint = f"it does {', '.join(recipe.hyperparameters)}"
    where = lines.where(("model", "task"))
    return problem("KIT_INVALID", f"{recipe.name} does not do {task}", where=where, hint=hint)

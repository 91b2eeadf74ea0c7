"""Checks the parts of a kit that its engine defines, hyperparameters and settings, with defaults.

Returns problems for an unknown engine, an unsupported task, and values that its models reject.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError

from mealkit.engines.engine import Recipe
from mealkit.engines.registry import engine_names, recipe_of
from mealkit.errors import Problem, problem
from mealkit.kit.document import Document, Path
from mealkit.kit.load import LoadedKit
from mealkit.kit.problems import problems_of
from mealkit.recipe.kit import Kit, Override, Task


@dataclass(frozen=True, slots=True)
class EngineParts:
    """The engine's parts of a kit; the values are only valid if there are no problems."""

    task: Task
    hyperparameters: Mapping[str, JsonValue]
    """Every hyperparameter, including the defaults of those that the kit leaves out."""
    settings: Mapping[str, JsonValue]
    """Every flag, including the defaults of those that the kit leaves out."""
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()


def check_engine_parts(loaded: LoadedKit) -> EngineParts:
    """Check the kit's engine, task and values; every problem names its line."""
    kit = loaded.kit
    found = _checked(
        kit.runtime.engine,
        kit.model.task,
        kit.hyperparameters,
        kit.runtime.settings,
        loaded.lines,
    )
    wrong = [] if found.problems else _override_problems(kit, found, loaded.lines)
    warnings: list[Problem] = []
    if not found.problems:
        recipe = recipe_of(kit.runtime.engine)
        if recipe.needs_weights and not kit.model.weights:
            wrong.append(_no_weights(recipe, loaded.lines))
        wrong += _bound_problems(kit, recipe, found, loaded.lines)
        wrong += _exclude_problems(kit, recipe, found, loaded.lines)
        wrong += recipe.check(loaded, found.settings)
        warnings = [] if wrong else recipe.warn(loaded, found.settings)
    return replace(found, problems=(*found.problems, *wrong), warnings=tuple(warnings))


def _bound_problems(kit: Kit, recipe: Recipe, parts: EngineParts, lines: Document) -> list[Problem]:
    """Return a problem for every requirement that excludes the versions that the engine needs."""
    if not kit.runtime.requirements:
        return []
    from mealkit.kit.requirement_lines import contradicts  # noqa: PLC0415  late: few kits need it

    found = []
    for index, line in enumerate(kit.runtime.requirements):
        for bound in recipe.bounds_for(parts.task, parts.settings):
            if contradicts(line, bound):
                message = (
                    f"runtime.requirements.{index}: {line}: the engine {recipe.name} needs {bound}"
                )
                hint = f"require {bound}, and change the code that needs another version"
                where = lines.where(("runtime", "requirements", index))
                found.append(problem("KIT_INVALID", message, where=where, hint=hint))
    return found


def _exclude_problems(
    kit: Kit, recipe: Recipe, parts: EngineParts, lines: Document
) -> list[Problem]:
    """Return a problem for every name in ``runtime.exclude`` that is required or appears twice."""
    names = kit.runtime.exclude
    if not names:
        return []
    from mealkit.kit.requirement_lines import required_name  # noqa: PLC0415  late, as above

    needed = {required_name(line) for line in recipe.requirements_for(parts.task, parts.settings)}
    required = {required_name(line) for line in kit.runtime.requirements}
    found = []
    for index, name in enumerate(names):
        hint = f"delete {name} from runtime.exclude"
        if name in needed:
            why = f"the engine {recipe.name} needs it"
        elif name in required:
            why, hint = "runtime.requirements requires it", f"{hint}, or from runtime.requirements"
        elif name in names[:index]:
            why, hint = "it appears twice", f"delete one {name} from runtime.exclude"
        else:
            continue
        message = f"runtime.exclude.{index}: {name}: {why}"
        where = lines.where(("runtime", "exclude", index))
        found.append(problem("KIT_INVALID", message, where=where, hint=hint))
    return found


def _override_problems(kit: Kit, parts: EngineParts, lines: Document) -> list[Problem]:
    """Return the problems of the overrides: unknown parameters, and impossible bounds."""
    model = recipe_of(kit.runtime.engine).hyperparameters[parts.task]
    # An override of a value that requests cannot set would have no effect.
    settable = getattr(model, "callers_may_set", frozenset[str]())
    found = []
    for name, override in kit.overrides.items():
        where = lines.where(("overrides", name))
        if name not in settable:
            message = f"overrides.{name}: callers cannot set it"
            hint = f"name some of {', '.join(sorted(settable))}" if settable else None
            hint = hint or f"delete overrides: requests for {parts.task} have no such parameters"
            found.append(problem("KIT_INVALID", message, where=where, hint=hint))
        elif wrong := _bounds_problem(name, override, parts.hyperparameters[name], where):
            found.append(wrong)
    return found


def _bounds_problem(name: str, override: Override, value: JsonValue, where: str) -> Problem | None:
    low, high = override.minimum, override.maximum
    if low is None and high is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        message = f"overrides.{name}: it is not a number, so it cannot have bounds"
        return problem("KIT_INVALID", message, where=where, hint=f"write {name}: {{}}")
    if not (-math.inf if low is None else low) <= value <= (math.inf if high is None else high):
        message = f"overrides.{name}: the kit's own value {value} is outside these bounds"
        hint = "widen the bounds, or change the hyperparameter"
        return problem("KIT_INVALID", message, where=where, hint=hint)
    return None


def engine_problems(document: Document) -> list[Problem]:
    """Return an engine's problems with a kit whose other parts may also have problems."""
    runtime, model = _mapping(document.data, "runtime"), _mapping(document.data, "model")
    engine, task = runtime.get("engine"), model.get("task")
    if not isinstance(engine, str) or task not in (None, *Task):
        return []  # the kit's own models reject these
    found = _checked(
        engine,
        None if task is None else Task(task),
        _mapping(document.data, "hyperparameters"),
        _mapping(runtime, "settings"),
        document,
    )
    return list(found.problems)


def _mapping(data: Any, name: str) -> dict[str, Any]:
    value = data.get(name) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _checked(
    engine: str,
    asked: Task | None,
    hyperparameters: dict[str, JsonValue],
    settings: dict[str, JsonValue],
    lines: Document,
) -> EngineParts:
    task = asked or Task.EMBEDDINGS
    if engine not in engine_names():
        return EngineParts(task, {}, {}, (_unknown_engine(engine, lines),))
    recipe = recipe_of(engine)
    task = asked or recipe.default_task
    if task not in recipe.hyperparameters:
        return EngineParts(task, {}, {}, (_unknown_task(task, recipe, lines),))
    values, wrong_values = _in_full(
        recipe.hyperparameters[task], hyperparameters, lines, ("hyperparameters",)
    )
    flags, wrong_flags = _in_full(recipe.settings, settings, lines, ("runtime", "settings"))
    return EngineParts(task, values, flags, (*wrong_values, *wrong_flags))


def _in_full(
    model: type[BaseModel], values: dict[str, JsonValue], lines: Document, place: Path
) -> tuple[dict[str, Any], list[Problem]]:
    try:
        checked = model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        return {}, problems_of(error, model, values, lines, place)
    return checked.model_dump(mode="json", by_alias=True), []


def _no_weights(recipe: Recipe, lines: Document) -> Problem:
    message = f"model.weights: {recipe.name} needs at least one file"
    where = lines.where(("model", "weights"))
    return problem("KIT_INVALID", message, where=where, hint="name a source and its files")


def _unknown_engine(name: str, lines: Document) -> Problem:
    hint = f"choose one of {', '.join(engine_names())}"
    if near := get_close_matches(name.lower(), engine_names(), n=1, cutoff=0.5):
        hint = f"write {near[0]}, or {hint}"
    where = lines.where(("runtime", "engine"))
    return problem("KIT_INVALID", f"the engine {name!r} does not exist", where=where, hint=hint)


def _unknown_task(task: Task, recipe: Recipe, lines: Document) -> Problem:
    hint = f"it supports {', '.join(recipe.hyperparameters)}"
    where = lines.where(("model", "task"))
    return problem("KIT_INVALID", f"{recipe.name} does not support {task}", where=where, hint=hint)

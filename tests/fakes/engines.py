"""The registry's engines by name, asked as the lock, the preflight and the estimate ask them."""

from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.engines.demand import Use, dtypes_of
from mealkit.engines.registry import engine_names, recipe_of, traits_of
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate, Phase, Term
from mealkit.preflight.facts import Facts
from mealkit.preflight.finding import Context, Report
from mealkit.preflight.run import preflight
from mealkit.recipe.requirements import Demand, Dtype, Requirements


def memory_of(engine: str) -> EngineMemory:
    memory = traits_of(engine).memory
    assert memory is not None
    return memory


def estimate(shape: Shape, setting: Setting) -> Estimate:
    return setting.engine.estimate(shape, setting)


def usable_bytes(memory_bytes: int, setting: Setting) -> int:
    return setting.engine.usable_bytes(memory_bytes, setting)


def demand_of(
    engine: str,
    flags: Mapping[str, Any],
    concurrency: int,
    model: Shape | None,
    packages: Sequence[tuple[str, str]] = (),
) -> Demand | None:
    """What an engine demands under its flags; nothing, if it is not here."""
    if engine not in engine_names():
        return None
    return recipe_of(engine).demand(Use(flags, concurrency, model, dict(packages)))


def computed_dtypes(
    engine: str, flags: Mapping[str, Any], model: Shape | None
) -> tuple[Dtype, ...]:
    """The types that an engine computes in under its flags."""
    by_itself = recipe_of(engine).computes_in if engine in engine_names() else None
    return dtypes_of(Use(flags, 1, model), by_itself)


def context_of(needs: Requirements, **fields: Any) -> Context:
    """Where a kit is about to run, with the traits of its engine."""
    return Context(traits_of(needs.demand.engine if needs.demand else None), **fields)


def report_of(facts: Facts, needs: Requirements, **fields: Any) -> Report:
    """A preflight, with the traits of the engine that the needs name."""
    return preflight(facts, needs, context_of(needs, **fields))


def term(found: Estimate, name: str) -> Term:
    return next(item for item in found.terms if item.name == name)


def phase(found: Estimate, name: str) -> Phase:
    return next(item for item in found.phases if item.name == name)

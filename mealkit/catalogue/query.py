"""Finds kits in catalogues: by words, task, licence and owner, and by whether they fit."""

from collections.abc import Callable
from dataclasses import dataclass

from mealkit.catalogue.entry import Entry
from mealkit.engines.registry import traits_of
from mealkit.memory.setting import EngineMemory, Setting
from mealkit.memory.shape import Shape
from mealkit.preflight.cards import Card
from mealkit.preflight.fit import Fit, fits, verdict
from mealkit.recipe.kit import Gpu
from mealkit.recipe.requirements import Requirements

FitOf = Callable[[Entry], Fit]
"""Returns whether a kit fits the machine that is asked about."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to search for; every part that is given must match."""

    text: str = ""
    """Words; each must be in a name, description, model, task, licence or owner of the entry."""
    task: str | None = None
    license: str | None = None
    """A part of the licence of the kit's files or of the weights."""
    owner: str | None = None
    """A part of the owner's name or address."""
    fit: FitOf | None = None


def matches(entry: Entry, query: Query) -> bool:
    """Return whether an entry is what is searched for; upper and lower case are the same."""
    owner = f"{entry.owner.team} {entry.owner.contact}"
    licences = (entry.license, entry.model_license)
    words = " ".join((*_texts(entry), owner, *licences)).casefold()
    return (
        all(word in words for word in query.text.casefold().split())
        and query.task in {None, entry.task.value}
        and (query.license or "").casefold() in " ".join(licences).casefold()
        and (query.owner or "").casefold() in owner.casefold()
        and (query.fit is None or query.fit(entry) is not Fit.DOES_NOT_FIT)
    )


def fit_on_card(requirements: Requirements, card: Card) -> Fit:
    """Return whether a kit fits its number of cards of this kind; by the preflight's estimate.

    A kit that needs no GPU fits. One whose memory cannot be estimated is uncertain.
    """
    return _fit(requirements, lambda shape, setting: fits(shape, setting, [card])[0].fit)


def fit_in_memory(requirements: Requirements, memory_bytes: int) -> Fit:
    """Return likewise for GPUs with this much memory, whatever their kind."""

    def judge(shape: Shape, setting: Setting) -> Fit:
        room = setting.engine.usable_bytes(memory_bytes, setting)
        return verdict(setting.engine.estimate(shape, setting), room)

    return _fit(requirements, judge)


def _fit(requirements: Requirements, judge: Callable[[Shape, Setting], Fit]) -> Fit:
    if requirements.gpu is Gpu.NONE:
        return Fit.FITS
    known = _known(requirements)
    return Fit.UNCERTAIN if known is None else judge(*known)


def best(fit_of: Callable[[Requirements], Fit], entry: Entry) -> Fit:
    """Return the best result of the kit's architectures."""
    order = (Fit.FITS, Fit.UNCERTAIN, Fit.DOES_NOT_FIT)
    return min(map(fit_of, entry.requirements.values()), key=order.index)


def _known(requirements: Requirements) -> tuple[Shape, Setting] | None:
    demand, shape = requirements.demand, requirements.model
    engine: EngineMemory | None = traits_of(demand.engine).memory if demand else None
    if demand is None or shape is None or engine is None:
        return None
    return shape, demand.setting(engine)


def _texts(entry: Entry) -> tuple[str, ...]:
    paper = entry.paper.title if entry.paper else ""
    description = entry.description or ""
    return (entry.title, description, entry.model, entry.task.value, entry.engine, paper)

"""Searches catalogues for kits: by words, owner, licence and task, and by what fits."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mealkit.catalogue.query import Query, best, fit_in_memory, fit_on_card, matches
from mealkit.engines.registry import traits_of
from mealkit.errors import Problem
from mealkit.pipeline.catalogs.open_catalogs import FoundKit, chosen_catalogs, read_one
from mealkit.pipeline.home import Home
from mealkit.preflight.cards import card_of
from mealkit.preflight.finding import Context, Verdict
from mealkit.preflight.fit import Fit
from mealkit.preflight.run import preflight
from mealkit.recipe.requirements import Requirements

_FIT = {
    Verdict.FITS: Fit.FITS,
    Verdict.UNCERTAIN: Fit.UNCERTAIN,
    Verdict.DOES_NOT_FIT: Fit.DOES_NOT_FIT,
}


@dataclass(frozen=True, slots=True)
class Search:
    """The options of a search."""

    text: str = ""
    task: str | None = None
    license: str | None = None
    owner: str | None = None
    here: Home | None = None
    """The home on this machine, if only kits that fit the machine are wanted."""
    gpu: str | None = None
    memory_bytes: int | None = None
    catalogs: tuple[str, ...] = ()
    """Empty: those of the user's configuration."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The result of a search."""

    kits: tuple[FoundKit, ...]
    total: int
    problems: tuple[Problem, ...]
    """The entries that cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kits": [item.as_json() for item in self.kits],
            "total": self.total,
            "problems": [item.as_json() for item in self.problems],
        }


def search_kits(wanted: Search) -> Searched:
    """Return the kits that match, from all catalogues, in their order.

    Raises:
        PreflightError: the GPU is not known (``ESTIMATE_UNKNOWN``).
        StoreError, RegistryError: a catalogue cannot be read.
    """
    fit_of = _fit_of(wanted)
    whole = None if fit_of is None else lambda entry: best(fit_of, entry)
    query = Query(wanted.text, wanted.task, wanted.license, wanted.owner, whole)
    kits: list[FoundKit] = []
    problems: list[Problem] = []
    total = 0
    for where in chosen_catalogs(wanted.catalogs):
        found = read_one(where)
        total += len(found.kits)
        problems += found.faults
        kits += (
            FoundKit(where, item.entry, whole(item.entry) if whole else None)
            for item in found.kits
            if matches(item.entry, query)
        )
    return Searched(tuple(kits), total, tuple(problems))


def _fit_of(wanted: Search) -> Callable[[Requirements], Fit] | None:
    every = list(_limits(wanted))
    if not every:
        return None
    order = (Fit.FITS, Fit.UNCERTAIN, Fit.DOES_NOT_FIT)
    return lambda needs: max((fit(needs) for fit in every), key=order.index)


def _limits(wanted: Search) -> Iterator[Callable[[Requirements], Fit]]:
    if wanted.gpu is not None:
        card = card_of(wanted.gpu)
        yield lambda needs: fit_on_card(needs, card)
    memory_bytes = wanted.memory_bytes
    if memory_bytes is not None:
        yield lambda needs: fit_in_memory(needs, memory_bytes)
    if wanted.here is not None:
        yield _fit_here(wanted.here)


def _fit_here(home: Home) -> Callable[[Requirements], Fit]:
    from mealkit.pipeline.machine.machine_facts import host_facts

    facts = host_facts(home)

    def fit(needs: Requirements) -> Fit:
        context = Context(traits_of(needs.demand.engine if needs.demand else None))
        return _FIT[preflight(facts, needs, context).verdict]

    return fit

"""Finds kits in catalogues: by a search, or by a short name."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mealkit.catalogue.catalogue import Catalogue, Listed
from mealkit.catalogue.entry import Entry
from mealkit.catalogue.query import Query, best, fit_in_memory, fit_on_card, matches
from mealkit.engines.registry import traits_of
from mealkit.errors import MealkitError, Problem, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.publish.cataloguing import chosen_catalogs, read_one
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
class FoundKit:
    """A kit, and the catalogue that lists it."""

    where: str
    entry: Entry
    fit: Fit | None = None
    """Whether it fits, if that was asked."""
    versions: tuple[str, ...] = ()
    """All versions in that catalogue, newest first, if one kit was asked for."""
    other_owners: tuple[str, ...] = ()
    """The teams that own other versions of the kit in that catalogue."""
    elsewhere: tuple[tuple[str, Entry], ...] = ()
    """What later catalogues list under the name, if it is another image; if that was asked."""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        form: dict[str, Any] = {"catalog": self.where, **self.entry.form()}
        if self.fit:
            form["fit"] = self.fit.value
        return form | ({"versions": list(self.versions)} if self.versions else {})


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


def find_kit(text: str, catalogs: tuple[str, ...] = (), *, elsewhere: bool = False) -> FoundKit:
    """Return the kit that ``NAME`` or ``NAME:VERSION`` names, from the first catalogue that has it.

    Without a version, the newest one is returned. ``elsewhere``: the later catalogues are read,
    too, if they can be.

    Raises:
        StoreError: ``KIT_UNLISTED``: no catalogue has it; ``CATALOGUE_CONFLICT``: it is listed with
            two digests.
        RegistryError: a catalogue before it cannot be read, so it may have the kit.
    """
    name, _, version = text.partition(":")
    every = chosen_catalogs(catalogs)
    for number, where in enumerate(every):
        catalogue = read_one(where)
        found = catalogue.of(name, version or None)
        if found:
            chosen = _chosen(where, found, catalogue)
            later = every[number + 1 :] if elsewhere else ()
            return replace(chosen, elsewhere=tuple(_others(chosen.entry, later, version)))
    raise failure("KIT_UNLISTED", f"{text} is not in {' or '.join(every)}")


def _chosen(where: str, found: tuple[Listed, ...], catalogue: Catalogue) -> FoundKit:
    entry = found[0].entry
    same = [item.entry for item in found if item.entry.version == entry.version]
    if len({item.digest for item in same}) > 1:
        digests = "; ".join(f"{item.digest} in {item.reference}" for item in same)
        raise failure(
            "CATALOGUE_CONFLICT",
            f"{where} lists {entry.title} with {len(same)} digests: {digests}",
            where=where,
            hint=f"run the right one by its digest: mealkit run {entry.pinned}",
        )
    every = [item.entry for item in catalogue.of(entry.name)]
    versions = dict.fromkeys(item.version for item in every)
    owners = {item.owner.team for item in every} - {entry.owner.team}
    return FoundKit(where, entry, versions=tuple(versions), other_owners=tuple(sorted(owners)))


def _others(entry: Entry, catalogs: tuple[str, ...], version: str) -> Iterator[tuple[str, Entry]]:
    for where in catalogs:
        with suppress(MealkitError):  # it could not have been chosen anyway
            found = read_one(where).of(entry.name, version or None)
            if found and found[0].entry.digest != entry.digest:
                yield where, found[0].entry


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

"""The content of a catalogue's site as values: what each page says about one version of a kit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from mealkit.catalogue.entry import Entry
from mealkit.catalogue.memory_picture import Picture, picture_of
from mealkit.catalogue.query import best, fit_in_memory, fit_on_card
from mealkit.errors import Problem
from mealkit.lock.compare import Change, compare_locks, without_restatements
from mealkit.memory.terms import GIB
from mealkit.preflight.cards import CARDS, Card
from mealkit.preflight.fit import Fit
from mealkit.recipe.lock import Lock

_MEMORIES_GIB = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141)
MOST_CHANGES = 200
"""More changes between two versions are only counted."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer of an image."""

    content: str
    size_bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Inside:
    """What was read from the image itself."""

    lock: Lock
    layers: tuple[LayerRow, ...]
    sbom: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a kit, as the site gets it."""

    entry: Entry
    readme: str | None = None
    inside: Inside | None = None
    problem: Problem | None = None
    """Why its image could not be read; its page has only what the catalogue states."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A GPU, or a size of memory, to filter by."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences of a version from the one before it."""

    before: str
    shown: tuple[Change, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class Kit:
    """A kit with all its versions, newest first."""

    name: str
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """The version that its short name means."""
        return self.versions[0]

    def before(self, version: Version) -> Version | None:
        """Return the version before a version."""
        for newer, older in pairwise(self.versions):
            if newer is version:
                return older
        return None


def kits_of(versions: Sequence[Version]) -> tuple[Kit, ...]:
    """Group versions, which are sorted by name and newest first, by their kit."""
    names = dict.fromkeys(version.entry.name for version in versions)
    return tuple(
        Kit(name, tuple(item for item in versions if item.entry.name == name)) for name in names
    )


def card_choices() -> tuple[Choice, ...]:
    """Return the known GPUs."""
    return tuple(Choice(_key(card), card.name) for card in CARDS)


def memory_choices() -> tuple[Choice, ...]:
    """Return sizes of a GPU's memory."""
    return tuple(Choice(f"{size}-gib", f"{size} GiB") for size in _MEMORIES_GIB)


def fits_by_choice(entry: Entry) -> dict[str, Fit]:
    """Return for each choice whether a kit fits; by the rules of the preflight."""
    cards = {_key(card): best(lambda needs: fit_on_card(needs, card), entry) for card in CARDS}  # noqa: B023
    memories = {
        f"{size}-gib": best(lambda needs: fit_in_memory(needs, size * GIB), entry)  # noqa: B023
        for size in _MEMORIES_GIB
    }
    return {**cards, **memories}


def picture_for(entry: Entry) -> Picture | None:
    """Return the picture of a kit's memory, on the first architecture that it is built for."""
    return picture_of(entry.any_requirements)


def changes_of(version: Version, before: Version | None) -> Changes | None:
    """Return what changed since the version before; None if there is none, or it was not read."""
    if before is None or before.inside is None or version.inside is None:
        return None
    found = tuple(without_restatements(compare_locks(before.inside.lock, version.inside.lock)))
    return Changes(before.entry.version, found[:MOST_CHANGES], max(0, len(found) - MOST_CHANGES))


def _key(card: Card) -> str:
    return "-".join(card.name.lower().split())

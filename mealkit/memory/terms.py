"""An estimate: terms with an interval each, the formula that gave them, and where it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the memory; ``high`` is what nobody has seen exceeded, ``low`` the least."""

    name: str
    low_bytes: int
    likely_bytes: int
    high_bytes: int
    formula: str
    """How it was counted, with the numbers put in."""
    source: str
    """Where the formula is written down."""

    def as_json(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "low_bytes": self.low_bytes,
            "likely_bytes": self.likely_bytes,
            "high_bytes": self.high_bytes,
            "formula": self.formula,
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class Phase:
    """A moment at which memory may be highest: loading, reading a prompt, generating."""

    name: str
    terms: tuple[Term, ...]

    @property
    def low_bytes(self) -> int:
        """The least that this moment takes."""
        return sum(term.low_bytes for term in self.terms)

    @property
    def likely_bytes(self) -> int:
        """What it takes."""
        return sum(term.likely_bytes for term in self.terms)

    @property
    def high_bytes(self) -> int:
        """The most that it takes."""
        return sum(term.high_bytes for term in self.terms)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What one GPU must hold (or all of them, by the setting's scope), at the worst moment."""

    phases: Sequence[Phase]

    @property
    def peak(self) -> Phase:
        """The moment that likely takes most."""
        return max(self.phases, key=lambda phase: phase.likely_bytes)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of that moment."""
        return self.peak.terms

    @property
    def low_bytes(self) -> int:
        """The least that is needed, over all moments."""
        return max(phase.low_bytes for phase in self.phases)

    @property
    def likely_bytes(self) -> int:
        """What is needed."""
        return self.peak.likely_bytes

    @property
    def high_bytes(self) -> int:
        """The most that is needed, over all moments."""
        return max(phase.high_bytes for phase in self.phases)

    def as_json(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "low_bytes": self.low_bytes,
            "likely_bytes": self.likely_bytes,
            "high_bytes": self.high_bytes,
            "peak": self.peak.name,
            "phases": [
                {"name": phase.name, "terms": [term.as_json() for term in phase.terms]}
                for phase in self.phases
            ],
        }


def exact(name: str, size_bytes: float, formula: str, source: str) -> Term:
    """Make a term that has no uncertainty."""
    size = round(size_bytes)
    return Term(name, size, size, size, formula, source)


def between(name: str, sizes: tuple[float, float, float], formula: str, source: str) -> Term:
    """Make a term from its least, likely and most bytes; in this order, whatever a model states."""
    likely = max(0, round(sizes[1]))
    low, high = max(0, min(round(sizes[0]), likely)), max(round(sizes[2]), likely)
    return Term(name, low, likely, high, formula, source)

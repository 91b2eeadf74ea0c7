"""Estimates: terms, each with an interval, its formula and the formula's source."""

from collections.abc import Sequence
from dataclasses import dataclass

MIB = 2**20
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the memory; ``low`` is the minimum, ``high`` was never seen exceeded."""

    name: str
    low_bytes: int
    likely_bytes: int
    high_bytes: int
    formula: str
    """The formula, with the numbers inserted."""
    source: str
    """Where the formula is documented."""

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
    """A moment at which memory may be highest: loading, processing a prompt, generating."""

    name: str
    terms: tuple[Term, ...]

    @property
    def low_bytes(self) -> int:
        """The lower bound at this moment."""
        return sum(term.low_bytes for term in self.terms)

    @property
    def likely_bytes(self) -> int:
        """The likely memory at this moment."""
        return sum(term.likely_bytes for term in self.terms)

    @property
    def high_bytes(self) -> int:
        """The upper bound at this moment."""
        return sum(term.high_bytes for term in self.terms)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The memory on one GPU (or on all, by the setting's scope) at the worst moment."""

    phases: Sequence[Phase]

    @property
    def peak(self) -> Phase:
        """The moment with the largest likely memory."""
        return max(self.phases, key=lambda phase: phase.likely_bytes)

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of that moment."""
        return self.peak.terms

    @property
    def low_bytes(self) -> int:
        """The lower bound, over all moments."""
        return max(phase.low_bytes for phase in self.phases)

    @property
    def likely_bytes(self) -> int:
        """The likely memory, over all moments."""
        return self.peak.likely_bytes

    @property
    def high_bytes(self) -> int:
        """The upper bound, over all moments."""
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
    """Return a term without uncertainty."""
    size = round(size_bytes)
    return Term(name, size, size, size, formula, source)


def between(name: str, sizes: tuple[float, float, float], formula: str, source: str) -> Term:
    """Return a term from its lower bound, likely value and upper bound, in increasing order."""
    likely = max(0, round(sizes[1]))
    low, high = max(0, min(round(sizes[0]), likely)), max(round(sizes[2]), likely)
    return Term(name, low, likely, high, formula, source)

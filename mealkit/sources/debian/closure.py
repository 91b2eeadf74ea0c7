"""Finds all dependencies of a set of packages; the same packages always give the same result.

Raises LockError if no package of the suite satisfies a dependency, or if packages conflict.
"""

from collections import deque
from collections.abc import Collection, Iterable
from typing import Protocol

from mealkit.errors import failure
from mealkit.sources.debian.package import IndexEntry, Relation

# A problem names this many; the rest are counted. A base takes some thousand steps.
_SHOWN = 20
_MOST_STEPS = 2_000_000


class PackageLookup(Protocol):
    """The part of a package index that the resolver uses."""

    def newest(self, name: str) -> IndexEntry | None:
        """Return the highest version of a package, or None."""
        ...

    def providers(self, name: str) -> list[IndexEntry]:
        """Return the packages that provide a name, sorted by name."""
        ...


def closure(
    index: PackageLookup, roots: Iterable[str], excluded: Collection[tuple[str, str]] = ()
) -> tuple[IndexEntry, ...]:
    """Return the roots and all their direct and indirect dependencies, sorted by name.

    Among a dependency's alternatives, one that is already selected is used, otherwise the first
    that can be satisfied: by the package of that name, or by the first package (by name) that
    provides it. Only the highest version of a package counts. The result does not depend on the
    order of packages in the index. ``excluded`` contains (package, dependency) pairs to ignore.

    Raises:
        LockError: ``DEBIAN_UNSOLVABLE``, with every dependency that is not satisfied.
    """
    chosen = _Chosen()
    unmet: list[str] = []
    waiting: deque[tuple[str, tuple[Relation, ...]]] = deque(
        ("the base", (Relation(name),)) for name in sorted(set(roots))
    )
    while waiting:
        who, alternatives = waiting.popleft()
        chosen.spend(len(alternatives))
        if any(chosen.meets(relation) for relation in alternatives):
            continue
        entry = _first_that_meets(index, alternatives, chosen)
        if entry is None:
            unmet.append(f"{who} needs {' | '.join(map(str, alternatives))}")
            continue
        name = entry.package.name
        chosen.add(entry)
        for clause in entry.depends:
            if not any((name, relation.name) in excluded for relation in clause):
                waiting.append((f"{name} {entry.package.version}", clause))
    if problems := unmet or chosen.conflicts():
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        said = "; ".join(problems[:_SHOWN])
        raise failure("DEBIAN_UNSOLVABLE", f"the suite's packages cannot be combined: {said}{more}")
    return tuple(chosen.entries[name] for name in sorted(chosen.entries))


class _Chosen:
    """The packages selected so far, and the names that they provide; limits the number of steps."""

    def __init__(self) -> None:
        self.entries: dict[str, IndexEntry] = {}
        self._provided: dict[str, list[tuple[str, Relation]]] = {}
        self._left = _MOST_STEPS

    def add(self, entry: IndexEntry) -> None:
        self.entries[entry.package.name] = entry
        for provided in entry.provides:
            self._provided.setdefault(provided.name, []).append((entry.package.name, provided))

    def spend(self, steps: int) -> None:
        """Count checked relations; raise if there are too many."""
        self._left -= steps
        if self._left < 0:
            raise failure(
                "DEBIAN_UNSOLVABLE", "the suite's packages have too many dependencies to resolve"
            )

    def meets(self, relation: Relation, but_for: str | None = None) -> bool:
        named = self.entries.get(relation.name)
        if named and relation.name != but_for and relation.allows(named.package.version):
            return True
        provided = self._provided.get(relation.name, [])
        self.spend(len(provided))
        return any(who != but_for and _is_met_by(relation, item) for who, item in provided)

    def conflicts(self) -> list[str]:
        """Name every pair of packages in which one conflicts with, or breaks, the other."""
        return [
            f"{name} {entry.package.version} excludes {relation}"
            for name, entry in sorted(self.entries.items())
            for relation in entry.conflicts
            if self.meets(relation, but_for=name)
        ]


def _first_that_meets(
    index: PackageLookup, alternatives: Iterable[Relation], chosen: _Chosen
) -> IndexEntry | None:
    for relation in alternatives:
        named = index.newest(relation.name)
        if named and relation.allows(named.package.version):
            return named
        for entry in index.providers(relation.name):
            chosen.spend(1 + len(entry.provides))
            if any(_is_met_by(relation, provided) for provided in entry.provides):
                return entry
    return None


def _is_met_by(relation: Relation, provided: Relation) -> bool:
    """Return whether a provided name meets a relation; a bound needs a version (Policy, 7.5)."""
    return provided.name == relation.name and (
        relation.operator is None
        or (provided.version is not None and relation.allows(provided.version))
    )

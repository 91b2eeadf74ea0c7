"""Find the packages that a set of packages needs: the dependency closure, the same every time.

Refuses a need that no package of the suite meets, and packages that exclude one another.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from mealkit.errors import failure
from mealkit.sources.debian.package import IndexEntry, Relation


class Index(Protocol):
    """What the resolver asks of a package index."""

    def newest(self, name: str) -> IndexEntry | None:
        """Return the highest version of a package, or None."""
        ...

    def providers(self, name: str) -> list[IndexEntry]:
        """Return the packages that provide a name, sorted by name."""
        ...


def closure(
    index: Index, roots: Iterable[str], excluded: Collection[tuple[str, str]] = ()
) -> tuple[IndexEntry, ...]:
    """Return the roots and all that they need, directly or not, sorted by name.

    Of a dependency's alternatives the one that is there already is taken, or else the first that
    can be met: by the package of that name, or by the first package (by name) that provides it.
    Only the highest version of a package counts. The result depends on the set of packages in
    the index alone, never on their order there. ``excluded`` holds (package, dependency) pairs
    that are not followed.

    Raises:
        LockError: DEBIAN_UNSOLVABLE, naming every need that is not met.
    """
    chosen: dict[str, IndexEntry] = {}
    unmet: list[str] = []
    waiting: deque[tuple[str, tuple[Relation, ...]]] = deque(
        ("the base", (Relation(name),)) for name in sorted(set(roots))
    )
    while waiting:
        who, alternatives = waiting.popleft()
        if any(_is_met(relation, chosen) for relation in alternatives):
            continue
        entry = _first_that_meets(index, alternatives)
        if entry is None:
            unmet.append(f"{who} needs {' | '.join(map(str, alternatives))}")
            continue
        name = entry.package.name
        chosen[name] = entry
        for clause in entry.depends:
            if not any((name, relation.name) in excluded for relation in clause):
                waiting.append((f"{name} {entry.package.version}", clause))
    if problems := unmet or _conflicts(chosen):
        raise failure(
            "DEBIAN_UNSOLVABLE", f"the suite's packages do not fit: {'; '.join(problems)}"
        )
    return tuple(chosen[name] for name in sorted(chosen))


def _is_met(relation: Relation, chosen: Mapping[str, IndexEntry]) -> bool:
    named = chosen.get(relation.name)
    if named and relation.allows(named.package.version):
        return True
    return any(_provides(entry, relation) for entry in chosen.values())


def _first_that_meets(index: Index, alternatives: Iterable[Relation]) -> IndexEntry | None:
    for relation in alternatives:
        named = index.newest(relation.name)
        if named and relation.allows(named.package.version):
            return named
        for entry in index.providers(relation.name):
            if _provides(entry, relation):
                return entry
    return None


def _provides(entry: IndexEntry, relation: Relation) -> bool:
    """Tell whether a package provides what is needed; a bound needs a version (Policy, 7.5)."""
    return any(
        provided.name == relation.name
        and (
            relation.operator is None
            or (provided.version is not None and relation.allows(provided.version))
        )
        for provided in entry.provides
    )


def _conflicts(chosen: Mapping[str, IndexEntry]) -> list[str]:
    """Name every pair of packages of which one conflicts with, or breaks, the other."""
    return [
        f"{name} {entry.package.version} excludes {relation}"
        for name, entry in sorted(chosen.items())
        for relation in entry.conflicts
        if _is_met(relation, {key: other for key, other in chosen.items() if key != name})
    ]

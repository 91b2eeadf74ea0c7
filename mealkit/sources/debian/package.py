"""Debian packages as an index describes them: what the lock keeps of one, and its relations.

Refuses an index entry that lacks a field or whose path would lead outside the mirror.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from debian.debian_support import NativeVersion

from mealkit.digest import Digest
from mealkit.lock.model import LockedDeb

# Debian Policy, 7.1: name, optional architecture qualifier, version in brackets.
_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?P<qualifier>:[a-z0-9-]+)?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s)]+)\s*\))?"
    r"(?:\s*\[[^\]]*\])?(?:\s*<[^>]*>)*"
)


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency: a name, and perhaps a bound on the version."""

    name: str
    operator: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def allows(self, version: str) -> bool:
        """Tell whether a version lies within the bound. Order: Debian Policy, 5.6.12."""
        if self.operator is None or self.version is None:
            return True
        found, bound = NativeVersion(version), NativeVersion(self.version)
        match self.operator:
            case "=":
                return bool(found == bound)
            case "<<":
                return bool(found < bound)
            case ">>":
                return bool(found > bound)
            case "<=" | "<":  # a lone sign is the old spelling of the inclusive one
                return bool(found <= bound)
            case _:
                return bool(found >= bound)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A package as an index describes it: what is pinned of it, and how it relates to others.

    ``depends`` holds Pre-Depends and Depends: all of them, by any one of each one's alternatives.
    """

    package: LockedDeb
    depends: tuple[tuple[Relation, ...], ...]
    provides: tuple[Relation, ...]
    conflicts: tuple[Relation, ...]


def index_entry(fields: dict[str, str]) -> IndexEntry:
    """Make an entry of an index's paragraph (field names in lower case).

    Raises:
        ValueError: a field is missing or cannot be read.
    """
    try:
        package = LockedDeb(
            name=fields["package"],
            version=fields["version"],
            architecture=fields["architecture"],
            filename=_inside(fields["filename"]),
            sha256=Digest.from_hex(fields["sha256"]),
            size_bytes=int(fields["size"]),
        )
    except KeyError as error:
        raise ValueError(f"package {fields.get('package')} has no field {error}") from error
    return IndexEntry(
        package,
        depends=(*_clauses(fields.get("pre-depends")), *_clauses(fields.get("depends"))),
        provides=tuple(_alternatives(fields.get("provides"))),
        conflicts=(*_alternatives(fields.get("conflicts")), *_alternatives(fields.get("breaks"))),
    )


def _inside(filename: str) -> str:
    path = PurePosixPath(filename)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{filename!r} leads outside the mirror")
    return str(path)


def _clauses(value: str | None) -> Iterator[tuple[Relation, ...]]:
    for clause in (value or "").split(","):
        if clause.strip():
            yield tuple(_relation(text) for text in clause.split("|"))


def _alternatives(value: str | None) -> Iterator[Relation]:
    for clause in _clauses(value):
        yield from clause


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text.strip()!r} is not a relation between packages")
    # The qualifier (:any) only matters where architectures are mixed, which a base never does.
    return Relation(match["name"], match["operator"], match["version"])

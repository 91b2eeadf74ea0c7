"""Debian packages as an index describes them: the fields for the lock, and the relations.

Raises ValueError for an index entry that lacks a field or whose path is outside the mirror.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from debian.debian_support import NativeVersion

from mealkit.digest import Digest
from mealkit.recipe.locked_base import LockedDeb
from mealkit.sources.debian.paragraphs import size_in_bytes

# Debian Policy, 7.1: name, optional architecture qualifier, version in brackets.
_RELATION = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9+.-]*)(?P<qualifier>:[a-z0-9-]+)?"
    r"(?:\s*\(\s*(?P<operator><<|<=|=|>=|>>|<|>)\s*(?P<version>[^\s)]+)\s*\))?"
    r"(?:\s*\[[^\]]*\])?(?:\s*<[^>]*>)*"
)


# Debian Policy, 5.6.7, 5.6.12 and 11.1. Current indexes have at most 1603 relations in a field.
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,127}")
_VERSION = re.compile(r"[A-Za-z0-9.+:~-]{1,128}")
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_FILENAME = re.compile(r"[ -~]{1,512}")
_MOST_RELATIONS = 4096


@dataclass(frozen=True, slots=True)
class Relation:
    """One alternative of a dependency: a name, and optionally a bound on the version."""

    name: str
    operator: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.operator} {self.version})" if self.operator else self.name

    def allows(self, version: str) -> bool:
        """Return whether a version satisfies the bound. Order: Debian Policy, 5.6.12."""
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
            case "<=" | "<":  # a single < or > is the old spelling of <= or >=
                return bool(found <= bound)
            case _:
                return bool(found >= bound)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A package as an index describes it: its pinned fields, and its relations to others.

    ``depends`` contains Pre-Depends and Depends. All must be satisfied, each by one alternative.
    """

    package: LockedDeb
    depends: tuple[tuple[Relation, ...], ...]
    provides: tuple[Relation, ...]
    conflicts: tuple[Relation, ...]


def index_entry(fields: dict[str, str]) -> IndexEntry:
    """Return the entry for a paragraph of an index (field names in lower case).

    Raises:
        ValueError: a field is missing or cannot be read.
    """
    try:
        package = LockedDeb(
            name=_like(_NAME, fields["package"]),
            version=_like(_VERSION, fields["version"]),
            architecture=_like(_ARCHITECTURE, fields["architecture"]),
            filename=inside_mirror(fields["filename"]),
            sha256=Digest.from_hex(fields["sha256"]),
            size_bytes=size_in_bytes(fields["size"]),
        )
    except KeyError as error:
        raise ValueError(f"package {fields.get('package')!r} has no field {error}") from error
    return IndexEntry(
        package,
        depends=(*_clauses(fields.get("pre-depends")), *_clauses(fields.get("depends"))),
        provides=tuple(_alternatives(fields.get("provides"))),
        conflicts=(*_alternatives(fields.get("conflicts")), *_alternatives(fields.get("breaks"))),
    )


def inside_mirror(filename: str) -> str:
    """Return a package's path below a mirror's root.

    Raises:
        ValueError: the path is outside the mirror, or not valid on a mirror.
    """
    path = PurePosixPath(_like(_FILENAME, filename))
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{filename!r} is outside the mirror")
    return str(path)


def _like(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not valid in an index")
    return text


def _clauses(value: str | None) -> Iterator[tuple[Relation, ...]]:
    value = value or ""
    if value.count(",") + value.count("|") >= _MOST_RELATIONS:
        raise ValueError(f"a package has more than {_MOST_RELATIONS} relations of one kind")
    for clause in value.split(","):
        if clause.strip():
            yield tuple(_relation(text) for text in clause.split("|"))


def _alternatives(value: str | None) -> Iterator[Relation]:
    for clause in _clauses(value):
        yield from clause


def _relation(text: str) -> Relation:
    match = _RELATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text.strip()[:80]!r} is not a relation between packages")
    # The qualifier (:any) matters only for mixed architectures, which a base never has.
    return Relation(match["name"], match["operator"], match["version"])

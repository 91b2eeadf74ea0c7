"""Records of known vulnerabilities in OSV's format, and which versions of a package they affect.

Format: https://ossf.github.io/osv-schema/. Understands the ecosystems PyPI and Debian. A record
that cannot be evaluated, such as one with a version that cannot be compared, counts as affecting
the package.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from debian.debian_support import NativeVersion
from packaging.version import InvalidVersion, Version

from mealkit.untrusted import UntrustedError, parse_json

MAX_RECORD_BYTES = 8 * 1024 * 1024
SEVERITIES = ("none", "low", "medium", "high", "critical")

_MAX_VALUES = 400_000
_VECTOR_CHARACTERS = 200
_PYPI, _DEBIAN = "PyPI", "Debian"
# A rebuild of a binary package without a change of the source (Debian Policy, 5.6.12.1).
_BINARY_REBUILD = re.compile(r"\+b[0-9]+$")
_MODERATE = {"moderate": "medium", "important": "high", "negligible": "low", "unimportant": "low"}


@dataclass(frozen=True, slots=True)
class Package:
    """A package of a kit; ``source`` is the name that OSV uses, a Debian package's source."""

    ecosystem: str
    source: str
    version: str
    release: str | None
    """The number of Debian's release; None: unknown, or not Debian's."""
    purl: str
    """The purl without qualifiers."""

    @property
    def label(self) -> str:
        """The package for people."""
        name = self.purl.rpartition("/")[2].partition("@")[0]
        return f"{name} {self.version}"


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """A vulnerability that affects a package of the kit."""

    package: Package
    id: str
    names: frozenset[str]
    """Its id and its other ids, such as a CVE."""
    severity: str | None
    """One of ``SEVERITIES``; None: the record does not state it."""
    fixed: tuple[str, ...]

    @property
    def line(self) -> str:
        """The vulnerability for people."""
        cve = min((name for name in self.names if name.startswith("CVE-")), default=self.id)
        fix = f", fixed in {', '.join(self.fixed)}" if self.fixed else ", without a fix"
        return f"{self.package.label}: {cve} ({self.severity or 'unknown severity'}{fix})"


def read_records(data: bytes) -> list[Mapping[str, Any]]:
    """Read a record, or a list of records.

    Raises:
        UntrustedError: it is neither.
    """
    value = parse_json(data, max_values=_MAX_VALUES)
    found = value if isinstance(value, list) else [value]
    for item in found:
        if not isinstance(item, dict) or not isinstance(item.get("id"), str):
            raise UntrustedError("it is not a record of OSV: it has no id")
        if not isinstance(item.get("affected", []), list):
            raise UntrustedError(f"{item['id'][:100]}: affected is not a list")
    return found


def affecting(
    record: Mapping[str, Any], packages: Mapping[tuple[str, str], Sequence[Package]]
) -> Iterator[Vulnerability]:
    """Yield a vulnerability for each package that a record affects.

    ``packages`` are those of the kit, by ecosystem and name.
    """
    if record.get("withdrawn"):
        return
    found: dict[Package, Vulnerability] = {}
    for affected in _mappings(record.get("affected")):
        for package in _named(affected, packages):
            if package not in found and _affects(affected, package):
                found[package] = _vulnerability(record, affected, package)
    yield from found.values()


def _named(
    affected: Mapping[str, Any], packages: Mapping[tuple[str, str], Sequence[Package]]
) -> Iterator[Package]:
    named = affected.get("package")
    if not isinstance(named, dict):
        return
    ecosystem, _, release = str(named.get("ecosystem", "")).partition(":")
    name = str(named.get("name", ""))
    if ecosystem == _PYPI:
        name = re.sub(r"[-_.]+", "-", name).lower()
    for package in packages.get((ecosystem, name), ()):
        if not release or package.release is None or package.release == release:
            yield package


def _affects(affected: Mapping[str, Any], package: Package) -> bool:
    """Return whether a package is affected: by the list of versions, or by a range."""
    order = _debian_order if package.ecosystem == _DEBIAN else _python_order
    versions, kinds = affected.get("versions"), _mappings(affected.get("ranges"))
    if isinstance(versions, list) and any(_same(order, item, package) for item in versions):
        return True
    usable = [item for item in kinds if item.get("type") != "GIT"]  # commits are not versions
    if not usable:
        return not versions  # without any version, all are affected
    return any(_in_range(item.get("events"), package, order) for item in usable)


_Order = Callable[[str], Any]


def _in_range(events: Any, package: Package, order: _Order) -> bool:
    """Evaluate the events of a range (OSV schema, "Evaluation")."""
    if not isinstance(events, list):
        return True
    try:
        own = order(_released(package))
        points = [
            (order(str(value)) if value != "0" else None, kind)
            for event in events
            if isinstance(event, dict)
            for kind, value in event.items()
        ]
        is_in = False
        for at, kind in sorted(points, key=lambda item: (item[0] is not None, _Key(item[0]))):
            if at is None or own >= at:
                if kind == "introduced":
                    is_in = True
                elif kind == "fixed" or (kind == "last_affected" and own > at):
                    is_in = False
    except (InvalidVersion, ValueError, TypeError):
        return True
    return is_in


class _Key:
    """Sorts versions; None, the beginning, is sorted by the caller."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __lt__(self, other: "_Key") -> bool:
        return self._value is not None and bool(self._value < other._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and bool(self._value == other._value)

    __hash__ = None  # type: ignore[assignment]


def _same(order: _Order, text: Any, package: Package) -> bool:
    if text == package.version:
        return True
    try:
        return bool(order(str(text)) == order(_released(package)))
    except (InvalidVersion, ValueError):
        return False


def _released(package: Package) -> str:
    """Return the version that was released: 2.13.0+cpu is a build of 2.13.0 (PEP 440)."""
    return package.version.partition("+")[0] if package.ecosystem == _PYPI else package.version


def _python_order(text: str) -> Version:
    return Version(text)


def _debian_order(text: str) -> NativeVersion:
    return NativeVersion(_BINARY_REBUILD.sub("", text))


def _vulnerability(
    record: Mapping[str, Any], affected: Mapping[str, Any], package: Package
) -> Vulnerability:
    others = [*_texts(record.get("aliases")), *_texts(record.get("upstream"))]
    return Vulnerability(
        package,
        str(record["id"]),
        frozenset({str(record["id"]), *others}),
        _severity(record, affected),
        tuple(dict.fromkeys(_fixes(affected))),
    )


def rating_of(vector: str) -> str | None:
    """Return the rating of a CVSS vector of version 2, 3 or 4; None if it is not a valid one."""
    # Its tables take a while to import, and few policies ask for vulnerabilities.
    from cvss import CVSS2, CVSS3, CVSS4  # noqa: PLC0415
    from cvss.exceptions import CVSSError  # noqa: PLC0415

    kind = {"CVSS:3": CVSS3, "CVSS:4": CVSS4}.get(vector[:6], CVSS2)
    try:
        return str(kind(vector).severities()[0]).lower()
    except CVSSError:
        return None


def _severity(record: Mapping[str, Any], affected: Mapping[str, Any]) -> str | None:
    """Return the greatest severity that a record states, by vector or by word."""
    found = set[str]()
    for holder in (record, affected):
        for item in _mappings(holder.get("severity")):
            if rating := rating_of(str(item.get("score", ""))[:_VECTOR_CHARACTERS]):
                found.add(rating)
        for place in ("database_specific", "ecosystem_specific"):
            own = holder.get(place)
            if isinstance(own, dict):
                for name in ("severity", "urgency"):
                    word = str(own.get(name, "")).lower()
                    found.add(_MODERATE.get(word, word))
    return max((item for item in found if item in SEVERITIES), key=SEVERITIES.index, default=None)


def _fixes(affected: Mapping[str, Any]) -> Iterator[str]:
    for item in _mappings(affected.get("ranges")):
        if item.get("type") != "GIT":
            for event in _mappings(item.get("events")):
                if isinstance(event.get("fixed"), str):
                    yield event["fixed"][:128]


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

"""Statements that a vulnerability does not affect a product: OpenVEX, and CycloneDX with analyses.

Formats: https://github.com/openvex/spec (v0.2.0) and CycloneDX 1.6, "vulnerabilities". Only
statements about packages count, by purl; one without a version is about every version.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mealkit.trust.osv import Vulnerability
from mealkit.untrusted import UntrustedError, parse_json_object

MAX_VEX_BYTES = 32 * 1024 * 1024

_UNAFFECTED = frozenset({"not_affected", "fixed"})
_HARMLESS = frozenset({"not_affected", "false_positive", "resolved", "resolved_with_pedigree"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about vulnerabilities of products; later statements replace earlier ones."""

    names: frozenset[str]
    """The ids of the vulnerability."""
    purls: tuple[str, ...]
    """The packages, as purls without qualifiers."""
    is_exception: bool
    """Whether the packages are not affected, or not any more."""
    time: str

    def is_about(self, found: Vulnerability) -> bool:
        """Return whether a vulnerability of a package is the statement's."""
        return bool(self.names & found.names) and any(
            item in {found.package.purl, found.package.purl.partition("@")[0]}
            for item in self.purls
        )


def read_vex(data: bytes) -> tuple[Statement, ...]:
    """Read a document, sorted by the time of its statements.

    Raises:
        UntrustedError: it is neither OpenVEX nor CycloneDX.
    """
    form = parse_json_object(data)
    if isinstance(form.get("statements"), list):
        found = _openvex(form)
    elif isinstance(form.get("vulnerabilities"), list):
        found = _cyclonedx(form)
    else:
        raise UntrustedError("it is neither OpenVEX nor CycloneDX with vulnerabilities")
    return tuple(sorted(found, key=lambda item: item.time))


def is_excepted(found: Vulnerability, statements: tuple[Statement, ...]) -> bool:
    """Return whether the last statement about a vulnerability says that it does not count."""
    about = [item for item in statements if item.is_about(found)]
    return bool(about) and about[-1].is_exception


def _openvex(form: Mapping[str, Any]) -> Iterator[Statement]:
    for item in _mappings(form.get("statements")):
        named = item.get("vulnerability")
        details = named if isinstance(named, dict) else {"name": named}
        names = [details.get("name"), details.get("@id"), *_strings(details.get("aliases"))]
        purls = [purl for product in _mappings(item.get("products")) for purl in _purls(product)]
        yield Statement(
            frozenset(name for name in names if isinstance(name, str)),
            tuple(purls),
            str(item.get("status")) in _UNAFFECTED,
            str(item.get("timestamp") or form.get("timestamp") or ""),
        )


def _purls(product: Mapping[str, Any]) -> Iterator[str]:
    """Yield the packages of a product: its subcomponents if it has some, else itself."""
    inner = _mappings(product.get("subcomponents"))
    for part in inner or [product]:
        identifiers = part.get("identifiers")
        stated = identifiers.get("purl") if isinstance(identifiers, dict) else None
        for text in (part.get("@id"), stated):
            if isinstance(text, str) and text.startswith("pkg:"):
                yield _plain(text)


def _cyclonedx(form: Mapping[str, Any]) -> Iterator[Statement]:
    purls = {
        item.get("bom-ref"): _plain(item["purl"])
        for item in _mappings(form.get("components"))
        if isinstance(item.get("purl"), str) and isinstance(item.get("bom-ref"), str)
    }
    for item in _mappings(form.get("vulnerabilities")):
        analysis = item.get("analysis")
        state = analysis.get("state") if isinstance(analysis, dict) else None
        references = [other.get("id") for other in _mappings(item.get("references"))]
        names = [name for name in (item.get("id"), *references) if isinstance(name, str)]
        targets = [target.get("ref") for target in _mappings(item.get("affects"))]
        found = [
            purls.get(target) or _plain(target) for target in targets if isinstance(target, str)
        ]
        time = item.get("updated") or item.get("published") or ""
        yield Statement(frozenset(names), tuple(found), str(state) in _HARMLESS, str(time))


def _plain(purl: str) -> str:
    """Return a purl without qualifiers and in one spelling."""
    return unquote(purl.partition("?")[0].partition("#")[0]).lower()


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

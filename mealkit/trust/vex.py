"""Statements that a vulnerability does not affect a product: OpenVEX, and CycloneDX with analyses.

Formats: https://github.com/openvex/spec (v0.2.0) and CycloneDX 1.6, "vulnerabilities". Only
statements about packages count, by purl; one without a version is about every version.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mealkit.trust.osv import Vulnerability
from mealkit.untrusted import UntrustedError, parse_json_object

MAX_VEX_BYTES = 32 * 1024 * 1024

_IMAGE = "pkg:oci/"
_UNAFFECTED = frozenset({"not_affected", "fixed"})
_HARMLESS = frozenset({"not_affected", "false_positive", "resolved", "resolved_with_pedigree"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a statement is about, as purls without qualifiers."""

    product: str | None
    """The image; None: any that has the package."""
    package: str | None
    """The package; None: every one in the image."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about vulnerabilities of products; later statements replace earlier ones."""

    names: frozenset[str]
    """The ids of the vulnerability."""
    targets: tuple[Target, ...]
    is_exception: bool
    """Whether the packages are not affected, or not any more."""
    time: str
    """When it was made, in UTC and in ISO 8601; empty if that is not known."""

    @property
    def order(self) -> tuple[str, bool]:
        """The place among other statements: of two of one time, the exception is first."""
        return self.time, not self.is_exception

    def is_about(self, found: Vulnerability, kit: frozenset[str]) -> bool:
        """Return whether a vulnerability of a package of a kit is the statement's."""
        package = {found.package.purl, found.package.purl.partition("@")[0]}
        return bool(self.names & found.names) and any(
            (item.product is None or item.product in kit)
            and (item.package is None or item.package in package)
            for item in self.targets
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
    return tuple(sorted(found, key=lambda item: item.order))


def is_excepted(
    found: Vulnerability, statements: tuple[Statement, ...], kit: frozenset[str] = frozenset()
) -> bool:
    """Return whether the last statement about a vulnerability says that it does not count.

    ``kit`` are the purls of the image, for statements about one product only.
    """
    about = [item for item in statements if item.is_about(found, kit)]
    return bool(about) and about[-1].is_exception


def _openvex(form: Mapping[str, Any]) -> Iterator[Statement]:
    for item in _mappings(form.get("statements")):
        named = item.get("vulnerability")
        details = named if isinstance(named, dict) else {"name": named}
        names = [details.get("name"), details.get("@id"), *_strings(details.get("aliases"))]
        products = _mappings(item.get("products"))
        yield Statement(
            frozenset(name for name in names if isinstance(name, str)),
            tuple(target for product in products for target in _targets(product)),
            str(item.get("status")) in _UNAFFECTED,
            _in_utc(item.get("timestamp") or form.get("timestamp")),
        )


def _targets(product: Mapping[str, Any]) -> Iterator[Target]:
    """Yield the packages of a product, or the product itself: a package, or an image."""
    inner = _mappings(product.get("subcomponents"))
    for own in _purls(product):
        if inner:
            yield from (Target(own, purl) for part in inner for purl in _purls(part))
        else:
            yield Target(own, None) if own.startswith(_IMAGE) else Target(None, own)


def _purls(component: Mapping[str, Any]) -> Iterator[str]:
    identifiers = component.get("identifiers")
    stated = identifiers.get("purl") if isinstance(identifiers, dict) else None
    for text in (component.get("@id"), stated):
        if isinstance(text, str) and text.startswith("pkg:"):
            yield _plain(text)


def _cyclonedx(form: Mapping[str, Any]) -> Iterator[Statement]:
    purls = {
        item.get("bom-ref"): _plain(item["purl"])
        for item in _mappings(form.get("components"))
        if isinstance(item.get("purl"), str) and isinstance(item.get("bom-ref"), str)
    }
    product, metadata = _image_of(form), form.get("metadata")
    made = metadata.get("timestamp") if isinstance(metadata, dict) else None
    for item in _mappings(form.get("vulnerabilities")):
        analysis = item.get("analysis")
        state = analysis.get("state") if isinstance(analysis, dict) else None
        references = [other.get("id") for other in _mappings(item.get("references"))]
        names = [name for name in (item.get("id"), *references) if isinstance(name, str)]
        targets = [target.get("ref") for target in _mappings(item.get("affects"))]
        found = tuple(
            Target(product, purls.get(target) or _plain(target))
            for target in targets
            if isinstance(target, str)
        )
        time = _in_utc(item.get("updated") or item.get("published") or made)
        yield Statement(frozenset(names), found, str(state) in _HARMLESS, time)


def _image_of(form: Mapping[str, Any]) -> str | None:
    """Return the image that a CycloneDX document is about; None: it is about packages."""
    metadata = form.get("metadata")
    component = metadata.get("component") if isinstance(metadata, dict) else None
    purl = component.get("purl") if isinstance(component, dict) else None
    return _plain(purl) if isinstance(purl, str) and purl.startswith(_IMAGE) else None


def _in_utc(text: Any) -> str:
    try:
        return dt.datetime.fromisoformat(str(text)).astimezone(dt.UTC).isoformat()
    except (ValueError, OverflowError):
        return ""


def _plain(purl: str) -> str:
    """Return a purl without qualifiers and in one spelling."""
    return unquote(purl.partition("?")[0].partition("#")[0]).lower()


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

"""Renders the site of a catalogue: its files as bytes, the same for the same catalogue.

Everything from kits is escaped. A page loads nothing but the style sheet and the script beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mealkit.catalogue.readme import printable_text, readme_html
from mealkit.catalogue.site_pages import (
    Kit,
    Version,
    card_choices,
    changes_of,
    fits_by_choice,
    kits_of,
    memory_choices,
    picture_for,
)
from mealkit.preflight.fit import Fit
from mealkit.units import show_size

MARKER = "catalog.json"
"""The file that shows that a folder is a site: the entries as JSON."""
_SHOWN_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Site:
    """A catalogue as a site shows it."""

    title: str
    catalog: str
    versions: Sequence[Version]


def site_files(site: Site, templates: Path) -> dict[str, bytes]:
    """Return every file of a site by its path."""
    environment = _environment(templates)
    kits = kits_of(site.versions)
    shared = {"site": site, "kits": kits, "cards": card_choices(), "memories": memory_choices()}
    pictures = {kit.name: picture_for(kit.newest.entry) for kit in kits}
    files = {
        "index.html": _page(environment, "index.html.jinja", root="", pictures=pictures, **shared),
        MARKER: _json([version.entry.form() for version in site.versions]),
        "site.css": (templates / "site.css").read_bytes(),
        "site.js": (templates / "site.js").read_bytes(),
    }
    for kit in kits:
        for version in kit.versions:
            folder, stem = f"kits/{kit.name}", version.entry.version
            context = _context(kit, version)
            files[f"{folder}/{stem}.html"] = _page(
                environment, "kit.html.jinja", root="../../", **shared, **context
            )
            if version.inside:
                files[f"{folder}/{stem}.cdx.json"] = _json(version.inside.sbom)
    return files


def _context(kit: Kit, version: Version) -> dict[str, Any]:
    return {
        "kit": kit,
        "version": version,
        "entry": version.entry,
        "lock": version.inside.lock if version.inside else None,
        "readme": readme_html(version.readme) if version.readme else None,
        "picture": picture_for(version.entry),
        "fits": _cards_by_fit(version),
        "changes": changes_of(version, kit.before(version)),
        "components": _components(version),
    }


def _cards_by_fit(version: Version) -> dict[str, list[str]]:
    found = fits_by_choice(version.entry)
    labels = {choice.key: choice.label for choice in card_choices()}
    return {fit.name.lower(): [labels[key] for key in labels if found[key] is fit] for fit in Fit}


def _components(version: Version) -> list[dict[str, str]]:
    """Return the rows of the SBOM, each with a kind, a name, a version and its licences."""
    if version.inside is None:
        return []
    return [
        {
            "kind": str(item.get("type", "")),
            "name": str(item.get("name", "")),
            "version": str(item.get("version", "")),
            "licence": ", ".join(_licences(item)),
        }
        for item in version.inside.sbom.get("components", ())
    ]


def _licences(component: Mapping[str, Any]) -> list[str]:
    found = []
    for item in component.get("licenses", ()):
        inner = item.get("license", {})
        found.append(item.get("expression") or inner.get("id") or inner.get("name") or "")
    return [text for text in found if text]


def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )
    environment.filters["size"] = show_size
    environment.filters["value"] = _value
    environment.globals["fits_of"] = _keys
    return environment


def _printable(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return printable_text(value)


def _value(value: Any) -> str:
    """Return any JSON value as a short text."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} …"


def _keys(version: Version, fit: str) -> str:
    """Return the keys of the choices that a kit fits in this way, for the filter."""
    found = fits_by_choice(version.entry)
    return " ".join(key for key, value in found.items() if value.value == fit)


def _page(environment: Environment, name: str, **context: Any) -> bytes:
    return environment.get_template(name).render(context).encode()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

"""Renders a page from a template: one file without scripts, which loads nothing.

Every text is escaped, and its hidden characters are revealed.
"""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from mealkit.names import reveal
from mealkit.reports.measures import shorten, show_seconds
from mealkit.units import show_size

_STYLE = "report.css"


def page(templates: Path, name: str, **values: Any) -> bytes:
    """Return the page that a template makes from values."""
    style = (templates / _STYLE).read_text("utf-8")
    template = _environment(templates).get_template(name)
    return template.render(style=Markup(style), **values).encode()  # noqa: S704  it is mealkit's


def anchor(kind: str, name: str) -> str:
    """Return an id that is unique in a page and safe in a link, whatever the name is."""
    return f"{kind}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


@cache
def _environment(templates: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_revealed,
    )
    environment.filters["size"] = show_size
    environment.filters["seconds"] = show_seconds
    environment.filters["number"] = "{:.4g}".format
    environment.filters["shorten"] = shorten
    return environment


def _revealed(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return reveal(value)

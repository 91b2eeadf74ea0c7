"""Draws plots as SVG for a page.

matplotlib draws them, always with the same bytes. Its colours are replaced by the page's
variables, and its ids by ones that are unique in the page. Texts of others are not drawn: they are
in the tables beside the plots.

Raises AcceptanceError if matplotlib is not installed.
"""

import io
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

from markupsafe import Markup

from mealkit.errors import failure

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_INCHES = (4.6, 2.3)
_BINS = 30
_TICKS = 8
# A colour that matplotlib draws with, and the variable of the page that it becomes.
_COLOURS = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--c1)",
    "#050505": "var(--bad)",
    "#060606": "var(--good)",
    "#070707": "var(--c3)",
}
_INK, _SOFT, _LINE, BARS, BAD, GOOD, OTHER = _COLOURS
_FILLED: Any = {"fill": True, "color": BARS}
_OUTLINE: Any = {"fill": False, "color": OTHER, "linewidth": 1.6}
_LOOK: Any = {
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": _SOFT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.labelcolor": _INK,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a value, with its name in the legend."""

    at: float
    name: str
    colour: str = _INK
    dashes: str = "-"


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot's texts: its name for people who do not see it, and the names of its axes."""

    id: str
    title: str
    description: str
    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Series:
    """The shares of groups, with its name in the legend."""

    name: str
    counts: Sequence[int]
    is_outline: bool = False
    """Whether only its outline is drawn, over another series."""


def histogram(plot: Plot, values: Sequence[float], marks: Sequence[Mark] = ()) -> Markup:
    """Draw how often values occur."""

    def draw(axes: Any) -> None:
        axes.hist(values, bins=_BINS, color=BARS)
        _draw_marks(axes, marks)

    return _svg(plot, draw)


def bins(plot: Plot, counted: Sequence[tuple[float, int]], marks: Sequence[Mark] = ()) -> Markup:
    """Draw counts by the upper bounds of their bins, on a logarithmic axis if they grow fast."""

    def draw(axes: Any) -> None:
        uppers = [bound for bound, _ in counted]
        edges = [_first_edge(uppers), *uppers]
        axes.stairs([count for _, count in counted], edges, fill=True, color=BARS)
        if _is_geometric(uppers) and edges[-1] / edges[0] > _LOGARITHMIC_FROM:
            axes.set_xscale("log")
            axes.xaxis.get_major_locator().set_params(subs=(1, 2, 5))
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.xaxis.set_minor_formatter(lambda _value, _: "")
        _draw_marks(axes, marks)

    return _svg(plot, draw)


def groups(
    plot: Plot, edges: Sequence[float], series: Sequence[Series], marks: Sequence[Mark] = ()
) -> Markup:
    """Draw the share of each group, the same width for each, with the edges between them.

    The first and the last group have no edge outside. Groups outside of all values are left out.
    """
    filled = [place for item in series for place, count in enumerate(item.counts) if count]
    marked = [_place(edges, mark.at) for mark in marks]
    low = int(min([*filled, *marked], default=0))
    high = int(max([*filled, *marked], default=0)) + 1

    def draw(axes: Any) -> None:
        for item in series:
            total = sum(item.counts) or 1
            shares = [count / total * 100 for count in item.counts[low:high]]
            look = _OUTLINE if item.is_outline else _FILLED
            axes.stairs(shares, range(low, high + 1), label=item.name, **look)
        _draw_marks(
            axes,
            [
                Mark(place, mark.name, mark.colour, mark.dashes)
                for place, mark in zip(marked, marks, strict=True)
            ],
        )
        shown = range(max(low, 1), min(high, len(edges)) + 1, (high - low) // _TICKS + 1)
        axes.set_xticks(list(shown), [f"{edges[place - 1]:g}" for place in shown])
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=4, borderpad=0)

    return _svg(plot, draw)


def _place(edges: Sequence[float], value: float) -> float:
    """Return where a value lies among groups of the same width."""
    group = bisect_right(edges, value)
    if group in {0, len(edges)}:
        return group + 0.5
    low, high = edges[group - 1], edges[group]
    return group + (value - low) / (high - low)


_LOGARITHMIC_FROM = 5.0


def _first_edge(uppers: Sequence[float]) -> float:
    widths = [high - low for low, high in pairwise(uppers)]
    if not widths:
        return 0.0
    if _is_geometric(uppers):
        return uppers[0] * uppers[0] / uppers[1]
    return uppers[0] - widths[0]


def _is_geometric(uppers: Sequence[float]) -> bool:
    """Return whether the bins grow: on a linear axis, the widest would look the fullest."""
    widths = [high - low for low, high in pairwise(uppers)]
    return bool(widths) and uppers[0] > 0 and widths[-1] > 2 * widths[0]


def _draw_marks(axes: Any, marks: Sequence[Mark]) -> None:
    for mark in marks:
        axes.axvline(
            mark.at, color=mark.colour, linestyle=mark.dashes, linewidth=1.4, label=mark.name
        )
    if marks:
        axes.legend(loc="upper left", bbox_to_anchor=(0, 1.2), ncols=len(marks), borderpad=0)


def _svg(plot: Plot, draw: Callable[[Any], None]) -> Markup:
    try:
        import matplotlib as mpl  # noqa: PLC0415  takes about a second
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        raise failure(
            "TEST_PACKAGE_MISSING",
            "a report with plots needs matplotlib, which is not installed",
            hint="pip install 'mealkit[evaluation]'",
        ) from error
    with mpl.rc_context({**_LOOK, "svg.hashsalt": plot.id}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.add_subplot()
        axes.set_xlabel(plot.x)
        axes.set_ylabel(plot.y)
        draw(axes)
        drawn = io.BytesIO()
        figure.savefig(
            drawn,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _for_page(plot, drawn.getvalue())


def _for_page(plot: Plot, drawn: bytes) -> Markup:
    root = ET.fromstring(drawn)  # noqa: S314  matplotlib has just written it
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.set("class", "plot")
    root.set("role", "img")
    root.set("aria-labelledby", f"{plot.id}-title {plot.id}-description")
    for parent in root.iter():
        for child in [item for item in parent if item.tag == f"{_SVG}metadata"]:
            parent.remove(child)
    for element in root.iter():
        _rename(element, plot.id)
    for place, (name, text) in enumerate(
        (("title", plot.title), ("desc", plot.description)),
    ):
        element = ET.Element(f"{_SVG}{name}")
        element.set("id", f"{plot.id}-{'title' if name == 'title' else 'description'}")
        element.text = text
        root.insert(place, element)
    ET.register_namespace("", _SVG[1:-1])
    text = ET.tostring(root, encoding="unicode")
    return Markup(text)  # noqa: S704  ElementTree has escaped every text


def _rename(element: ET.Element, prefix: str) -> None:
    """Give an element the page's colours and font, and ids that only this plot has."""
    if "id" in element.attrib:
        element.set("id", f"{prefix}-{element.get('id')}")
    link = element.attrib.pop(_LINK, None)
    if link:
        element.set("href", f"#{prefix}-{link[1:]}")
    for name, value in element.attrib.items():
        if "url(#" in value:
            element.set(name, value.replace("url(#", f"url(#{prefix}-"))
    style = element.get("style")
    if style:
        for colour, variable in _COLOURS.items():
            style = style.replace(colour, variable)
        element.set("style", re.sub(r"font: ([0-9.]+px)[^;]*", r"font-size: \1", style))

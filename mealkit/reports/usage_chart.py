"""Draws usage as a chart: the cost of each day, or its tokens without prices, by key or kit.

Raises AcceptanceError if matplotlib is not installed.
"""

import io
from collections.abc import Sequence

from mealkit.errors import failure
from mealkit.ledger.prices import NANO
from mealkit.ledger.usage_summary import By, UsageRow, sum_usage
from mealkit.reports.measures import shorten

_INCHES = (9.0, 4.0)
_MOST_PARTS = 8
_MOST_CHARACTERS = 30
_OTHERS = "others"
_TICKS = 10


def usage_chart(rows: Sequence[UsageRow], part: By) -> bytes:
    """Return an SVG image: a bar for each day, divided among the largest keys or kits."""
    try:
        import matplotlib as mpl  # noqa: PLC0415  takes about a second
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        message = "a chart needs matplotlib, which is not installed"
        hint = "pip install 'mealkit[evaluation]'"
        raise failure("TEST_PACKAGE_MISSING", message, hint=hint) from error
    unit, values = _values(rows, part)
    days = sorted({day for _, day in values})
    names = _largest(values)
    with mpl.rc_context({"svg.hashsalt": "usage", "svg.fonttype": "none", "font.size": 9.0}):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.add_subplot()
        bottom = [0.0] * len(days)
        for name, members in names.items():
            heights = [sum(values.get((item, day), 0.0) for item in members) for day in days]
            axes.bar(range(len(days)), heights, bottom=bottom, label=name)
            bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
        shown = range(0, len(days), len(days) // _TICKS + 1)
        axes.set_xticks(list(shown), [days[place] for place in shown])
        axes.set_ylabel(unit)
        axes.spines[["top", "right"]].set_visible(False)
        if names:
            for text in axes.legend(frameon=False, title=part.value).get_texts():
                text.set_parse_math(False)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Title": f"{unit} by day"})
    return drawn.getvalue()


def _values(rows: Sequence[UsageRow], part: By) -> tuple[str, dict[tuple[str, str], float]]:
    """Return the unit, and the value of each part on each day."""
    sums = sum_usage(rows, (part, By.DAY))
    currencies = {item.currency for item in sums if item.used.nano}
    if len(currencies) == 1:
        (currency,) = currencies
        return currency, {
            (item.parts[0], item.parts[1]): item.used.nano / NANO
            for item in sums
            if item.currency == currency
        }
    tokens: dict[tuple[str, str], float] = {}
    for item in sums:
        name = (item.parts[0], item.parts[1])
        tokens[name] = tokens.get(name, 0.0) + item.used.amount.tokens
    return "tokens", tokens


def _largest(values: dict[tuple[str, str], float]) -> dict[str, list[str]]:
    """Return the parts to show with their members: the largest ones, and all others as one."""
    totals: dict[str, float] = {}
    for (name, _), value in values.items():
        totals[name] = totals.get(name, 0.0) + value
    order = sorted(totals, key=lambda name: (-totals[name], name))
    shown = {shorten(name, _MOST_CHARACTERS): [name] for name in order[:_MOST_PARTS]}
    if order[_MOST_PARTS:]:
        shown[_OTHERS] = order[_MOST_PARTS:]
    return shown

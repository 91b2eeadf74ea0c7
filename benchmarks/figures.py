"""What was measured, as tables: a figure, what it is compared with, the budget and the verdict."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``met`` is None where there is no budget."""

    what: str
    measured: str
    baseline: str = ""
    ratio: float | None = None
    budget: str = ""
    met: bool | None = None
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Say whether the budget is kept."""
        return "" if self.met is None else "met" if self.met else "**missed**"

    @property
    def cells(self) -> tuple[str, ...]:
        """Return what a table shows."""
        ratio = "" if self.ratio is None else f"{self.ratio:.3g}"
        return (self.what, self.measured, self.baseline, ratio, self.budget, self.verdict)


COLUMNS = ("what", "measured", "compared with", "ratio", "budget", "verdict")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one topic, and what must be known to read them."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return everything, the single runs included."""
        return asdict(self)


def markdown(table: Table) -> str:
    """Write a table as Markdown."""
    lines = [f"### {table.title}", ""]
    if table.rows:
        lines += [_line(COLUMNS), _line(["---"] * len(COLUMNS))]
        lines += [_line(row.cells) for row in table.rows]
    if table.notes:
        lines += ["", *(f"- {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"


def against(
    what: str,
    seconds: Sequence[float],
    baseline: tuple[str, Sequence[float]],
    budget: float | None = None,
) -> list[Row]:
    """Return a row that holds times against others, or none if either has none.

    The ratio is the median of the ratios of each round: what slows a round slows both.
    """
    name, others = baseline
    if not seconds or not others:
        return []
    ratio = statistics.median(one / other for one, other in zip(seconds, others, strict=True))
    return [
        Row(
            what,
            show_seconds(statistics.median(seconds)),
            f"{name}: {show_seconds(statistics.median(others))}",
            ratio,
            "" if budget is None else f"ratio ≤ {budget:g}",
            None if budget is None else ratio <= budget,
            {what: seconds, name: others},
        )
    ]


def within(
    what: str,
    seconds: float | None,
    budget_seconds: float,
    samples: Sequence[float] = (),
    baseline: str = "",
) -> list[Row]:
    """Return a row with a time and its limit, or none if it is not known."""
    if seconds is None:
        return []
    return [
        Row(
            what,
            show_seconds(seconds),
            baseline,
            budget=f"≤ {show_seconds(budget_seconds)}",
            met=seconds <= budget_seconds,
            samples={"seconds": samples},
        )
    ]


def memory(what: str, peak_bytes: int | None, budget_bytes: int = 100 * MIB) -> list[Row]:
    """Return a row with a peak of memory, or none if it is not known."""
    if peak_bytes is None:
        return []
    return [
        Row(
            what,
            f"{peak_bytes / MIB:.0f} MiB",
            budget=f"≤ {budget_bytes // MIB} MiB",
            met=peak_bytes <= budget_bytes,
            samples={"bytes": [peak_bytes]},
        )
    ]


def show_seconds(seconds: float) -> str:
    """Show a time with two or three digits that mean something."""
    if seconds < 0.1:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def show_bytes(size_bytes: int) -> str:
    """Show a size."""
    for unit, scale in (("GiB", 1024 * MIB), ("MiB", MIB), ("KiB", 1024)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.3g} {unit}"
    return f"{size_bytes} bytes"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"

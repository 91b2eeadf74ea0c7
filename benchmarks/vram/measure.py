"""The errors of estimates over measurements, and what a family that was never seen would show."""

import statistics
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.vram.peers import PEERS
from benchmarks.vram.rows import PARTS, Case, Row, case_of
from benchmarks.vram.shapes import Model
from mealkit.memory.device import context_term
from mealkit.memory.terms import GIB, Estimate

# Words of what was measured, and the term that counts the same.
_PARTS = {"non-torch": "cuda context", "activation": "activations", "weight": "weights"}


@dataclass(frozen=True, slots=True)
class Measured:
    """A measurement, our estimate, and those of the peers in bytes."""

    case: Case
    found: Estimate
    peers: dict[str, float]

    @property
    def error(self) -> float:
        """How far the likely estimate is off, as a share of what was measured."""
        return self.found.likely_bytes / self.case.row.measured_bytes - 1

    @property
    def below(self) -> bool:
        """Whether even the upper bound lies below what was measured."""
        return self.found.high_bytes < self.case.row.measured_bytes

    @property
    def margin_needed(self) -> float:
        """The share that the unmodelled term must have for the upper bound to hold."""
        term = sum(item.high_bytes for item in self.found.terms if item.name == "unmodelled")
        rest = self.found.likely_bytes
        return (self.case.row.measured_bytes - (self.found.high_bytes - term)) / rest


@dataclass(frozen=True, slots=True)
class Summary:
    """The errors of a group."""

    rows: int
    median: float
    p95: float
    worst: float
    below: int
    width: float
    """The interval's width, as a share of the likely estimate: the median."""


def measure(rows: Iterable[Row], models: dict[str, Model]) -> tuple[list[Measured], list[str]]:
    """Estimate every complete measurement; return them, and why others were left out."""
    found: list[Measured] = []
    left_out: list[str] = []
    for row in rows:
        case = case_of(row, models)
        if isinstance(case, str):
            left_out.append(case)
        elif row.kind == PARTS:
            left_out.append(_part(case))
        else:
            peers = {name: peer(case) for name, peer in PEERS.items()}
            found.append(Measured(case, _estimate(case), peers))
    return found, left_out


def _estimate(case: Case) -> Estimate:
    return case.setting.engine.estimate(case.shape, case.setting)


def _part(case: Case) -> str:
    """Return a line that holds a part beside its term, or says why there is none."""
    row = case.row
    name = next((name for word, name in _PARTS.items() if word in row.what.lower()), None)
    terms = {term.name: term for term in _estimate(case).terms}
    terms["cuda context"] = context_term(case.setting)
    if name is None or name not in terms:
        return f"{row.model}, {row.engine}: a part, not a total ({row.what[:60]})"
    term = terms[name]
    sizes = (row.measured_bytes, term.low_bytes, term.likely_bytes, term.high_bytes)
    measured, low, likely, high = (f"{size / GIB:.2f}" for size in sizes)
    return (
        f"{row.model}, {row.engine}, {name}: {measured} GiB, estimated {likely} ({low} to {high})"
    )


def grouped(
    found: Sequence[Measured], key: Callable[[Measured], Hashable]
) -> list[tuple[Hashable, list[Measured]]]:
    """Return the groups that a key makes, in the order in which they appear."""
    groups: dict[Hashable, list[Measured]] = {}
    for item in found:
        groups.setdefault(key(item), []).append(item)
    return list(groups.items())


def summary(found: Sequence[Measured]) -> Summary:
    """Return the errors of a group."""
    errors = [abs(item.error) for item in found]
    widths = [
        (item.found.high_bytes - item.found.low_bytes) / item.found.likely_bytes for item in found
    ]
    return Summary(
        rows=len(found),
        median=statistics.median(errors),
        p95=percentile95(errors),
        worst=max(errors),
        below=sum(item.below for item in found),
        width=statistics.median(widths),
    )


def peer_errors(found: Sequence[Measured], name: str) -> list[float]:
    """Return a peer's absolute errors."""
    return [abs(item.peers[name] / item.case.row.measured_bytes - 1) for item in found]


def percentile95(errors: Sequence[float]) -> float:
    """Return the 95th percentile, interpolated between neighbours (Hyndman and Fan's type 7)."""
    if len(errors) == 1:
        return errors[0]
    return statistics.quantiles(errors, n=20, method="inclusive")[-1]


def left_out_margins(found: Sequence[Measured]) -> list[tuple[str, float, float]]:
    """Return per family the margin that it needs, and that all other families together need."""
    families = {item.case.family for item in found}
    margins: list[tuple[str, float, float]] = []
    for family in sorted(families):
        own = max(item.margin_needed for item in found if item.case.family == family)
        others = [item.margin_needed for item in found if item.case.family != family]
        margins.append((family, own, max(others, default=0.0)))
    return margins

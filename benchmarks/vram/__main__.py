"""Print how far estimates are from published measurements: python -m benchmarks.vram."""

import argparse
import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.vram.measure import (
    Measured,
    grouped,
    left_out_margins,
    measure,
    peer_errors,
    percentile95,
    summary,
)
from benchmarks.vram.peers import PEERS
from benchmarks.vram.rows import PEAK, ROWS, read_rows
from benchmarks.vram.shapes import TABLE, read_models
from mealkit.engines.transformers.memory import UNMODELLED
from mealkit.memory.terms import GIB

_HEAD = "| {} | rows | median | p95 | worst | upper bound too low | interval |"
_RULE = "|---|---|---|---|---|---|---|"
_LINE = "| {} | {} | {:.2%} | {:.2%} | {:.2%} | {} | {:.1%} |"


def main() -> int:
    """Print the tables; return 1 if an upper bound of a peak measurement was too low."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vram")
    parser.add_argument("--rows", type=Path, default=ROWS, help="measurements, as vram_dev.csv")
    parser.add_argument("--shapes", type=Path, default=TABLE, help="shapes, as model_shapes.csv")
    parser.add_argument("--each", action="store_true", help="print every row")
    options = parser.parse_args()
    found, left_out = measure(read_rows(options.rows), read_models(options.shapes))
    peak = [item for item in found if item.case.row.kind == PEAK]
    print("Absolute error of the likely estimate, by what was measured\n")
    _table("what was measured", found, lambda item: item.case.row.kind)
    print("\nPeak memory, by engine and precision\n")
    _table("engine, precision", peak, _engine_and_precision)
    print("\nPeak memory, by family of models\n")
    _table("family", peak, lambda item: item.case.family)
    _peers(peak)
    _left_one_out(peak)
    if options.each:
        _each(found)
    for reason in left_out:
        print(f"not a total: {reason}")
    return 1 if any(item.below for item in peak) else 0


def _table(name: str, found: Sequence[Measured], key: object) -> None:
    print(_HEAD.format(name))
    print(_RULE)
    for group, items in [*grouped(found, key), ("**all**", list(found))]:  # type: ignore[arg-type]
        all_of = summary(items)
        print(
            _LINE.format(
                group,
                all_of.rows,
                all_of.median,
                all_of.p95,
                all_of.worst,
                all_of.below,
                all_of.width,
            )
        )


def _engine_and_precision(item: Measured) -> str:
    engine = re.sub(r" \+ flash-attn.*| fused", "", item.case.row.engine)
    form = item.case.form
    precision = "BF16" if form.method == "none" else f"{form.method.upper()} {form.bits} bit"
    return f"{engine}, {precision}"


def _peers(peak: Sequence[Measured]) -> None:
    print("\nPeak memory, beside the formulas of other tools\n")
    print("| formula | median | p95 | worst | below the measured value |\n|---|---|---|---|---|")
    ours = [abs(item.error) for item in peak]
    below = sum(item.found.likely_bytes < item.case.row.measured_bytes for item in peak)
    print(_peer_line("mealkit (likely)", ours, below, len(peak)))
    print(_peer_line("mealkit (upper bound)", _upper(peak), sum(i.below for i in peak), len(peak)))
    for name in PEERS:
        errors = peer_errors(peak, name)
        low = sum(item.peers[name] < item.case.row.measured_bytes for item in peak)
        print(_peer_line(name, errors, low, len(peak)))


def _upper(peak: Sequence[Measured]) -> list[float]:
    return [abs(item.found.high_bytes / item.case.row.measured_bytes - 1) for item in peak]


def _peer_line(name: str, errors: Sequence[float], below: int, rows: int) -> str:
    median, high = statistics.median(errors), percentile95(errors)
    return f"| {name} | {median:.1%} | {high:.1%} | {max(errors):.1%} | {below} of {rows} |"


def _left_one_out(peak: Sequence[Measured]) -> None:
    print("\nLeaving a family out: the margin that the unmodelled term would need\n")
    print(f"| family left out | the others need | it needs | holds with {UNMODELLED:.0%} |")
    print("|---|---|---|---|")
    for family, own, others in left_out_margins(peak):
        holds = "yes" if own <= UNMODELLED else "no"
        print(f"| {family} | {others:.1%} | {own:.1%} | {holds} |")


def _each(found: Sequence[Measured]) -> None:
    print("\nEvery row (GiB)\n")
    print(
        "| model | precision | prompt | context | batch | GPUs | measured | low | likely | high |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for item in found:
        row, own = item.case.row, item.found
        sizes = (row.measured_bytes, own.low_bytes, own.likely_bytes, own.high_bytes)
        numbers = " | ".join(f"{size / GIB:.2f}" for size in sizes)
        print(
            f"| {row.model} | {row.precision} | {row.input_tokens} | {row.context_tokens}"
            f" | {row.batch} | {row.gpus} | {numbers} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())

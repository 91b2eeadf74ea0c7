"""Compares gateways whose locks differ in one thing, by one caller at a fixed rate.

The engine is a worker that answers at once. The gateways have one core, one at a time.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Row, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.served import cpu_seconds, gateway
from mealkit.recipe.lock import Lock, read_lock

Found = Mapping[str, list[dict[str, float]]]
"""The figures of each run, by the variant's name."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the caller sends."""

    rate: int
    """Requests per second."""
    seconds: int
    size_bytes: int

    def said(self, found: Found) -> str:
        """Return the load, and how many requests failed, in words."""
        refused = sum(run["refused"] for runs in found.values() for run in runs)
        return (
            f"{self.rate} requests a second of {self.size_bytes} bytes of text, {self.seconds} s "
            f"each; {refused:.0f} in all were not 200 or never came."
        )


def plain_lock(lab: Lab) -> tuple[Lock, Path]:
    """Return the example kit's lock with a worker that answers at once, and its weights."""
    _, small, _ = lab.first_build
    lock = read_lock(small.lock.read_bytes())
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:FixedWorker"})
    return lock.model_copy(update={"engine": engine}), small.context / "weights"


def in_turn(lab: Lab, locks: Mapping[str, Lock], weights: Path, load: Load, figure: str) -> Found:
    """Measure a gateway for each lock, in turn, back and forth; tell one figure of each run."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in locks}
    with ExitStack() as stack:
        served = {
            name: stack.enter_context(gateway(lab, lock, weights)) for name, lock in locks.items()
        }
        for number in range(lab.runs):
            for name in sorted(served, reverse=bool(number % 2)):
                process = served[name].process
                before = cpu_seconds(process)
                figures = _asked(served[name].port, load)
                figures["cpu"] = (cpu_seconds(process) - before) / figures["sent"]
                found[name].append(figures)
                lab.tell(f"{name}: {figure} {show_seconds(figures[figure])}")
    return found


def added_row(
    found: Found, what: str, name: str, without: str, figure: str, budget: float | None
) -> Row:
    """Return what a variant adds to a figure, in seconds, and as a ratio."""
    own, other = ([run[figure] for run in found[key]] for key in (name, without))
    added = median([a - b for a, b in zip(own, other, strict=True)]) or 0.0
    return Row(
        f"{what}, {name}",
        show_seconds(added),
        f"{show_seconds(median(own) or 0)} less {show_seconds(median(other) or 0)}",
        median([a / b for a, b in zip(own, other, strict=True)]),
        budget="" if budget is None else f"≤ {show_seconds(budget)}",
        met=None if budget is None else added <= budget,
        samples={name: own, without: other},
    )


def _asked(port: int, load: Load) -> dict[str, float]:
    numbers = map(str, (load.rate, load.seconds, load.size_bytes))
    command = [sys.executable, "-m", "benchmarks.caller", f"127.0.0.1:{port}", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise CannotMeasureError(f"the caller failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

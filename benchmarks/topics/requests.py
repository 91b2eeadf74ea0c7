"""What the gateway adds to a request: a caller of the gateway against a caller of its worker.

The engine is a worker that answers at once, so that the gateway is what is measured; the gateway
has one core to itself, and the worker and whoever asks have the others.
"""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.served import cpu_seconds, gateway
from mealkit.recipe.lock import read_lock

_RATE, _SECONDS = 500, 6
_BUDGET_P50, _BUDGET_P99 = 0.001, 0.005
_FIGURES = ("p50", "p99")


def requests(lab: Lab) -> Iterator[Table]:
    """Measure requests at a fixed rate, to the gateway and to the worker in turn."""
    found: dict[str, list[dict[str, float]]] = {"gateway": [], "worker": []}
    _, small, _ = lab.first_build
    lock = read_lock(small.lock.read_bytes())
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:FixedWorker"})
    fixed = lock.model_copy(update={"engine": engine})
    with gateway(lab, fixed, small.context / "weights") as served:
        process = served.process
        places = {"gateway": f"127.0.0.1:{served.port}", "worker": str(served.socket)}
        for number in range(lab.runs):
            for name in sorted(places, reverse=bool(number % 2)):
                before = cpu_seconds(process)
                figures = _asked(places[name])
                figures["cpu"] = (cpu_seconds(process) - before) / figures["sent"]
                found[name].append(figures)
                p50, p99 = (show_seconds(figures[figure]) for figure in _FIGURES)
                lab.tell(f"{name}: p50 {p50}, p99 {p99}")
    yield _table(found)


def _table(found: dict[str, list[dict[str, float]]]) -> Table:
    rows = []
    for figure, budget in zip(_FIGURES, (_BUDGET_P50, _BUDGET_P99), strict=True):
        through = [run[figure] for run in found["gateway"]]
        direct = [run[figure] for run in found["worker"]]
        added = median([a - b for a, b in zip(through, direct, strict=True)]) or 0.0
        shown = f"{show_seconds(median(through) or 0)} less {show_seconds(median(direct) or 0)}"
        rows.append(
            Row(
                f"added to a request, {figure}",
                show_seconds(added),
                shown,
                budget=f"≤ {show_seconds(budget)}",
                met=added <= budget,
                samples={"gateway": through, "worker": direct},
            )
        )
    cpu = [run["cpu"] for run in found["gateway"]]
    rows.append(Row("CPU time of the gateway for a request", show_seconds(median(cpu) or 0.0)))
    return Table(f"Gateway, at {_RATE} requests a second", rows, _notes(found))


def _notes(found: dict[str, list[dict[str, float]]]) -> list[str]:
    runs = found["gateway"] + found["worker"]
    refused = sum(run["refused"] for run in runs)
    late = median([run["late_p99"] for run in runs]) or 0.0
    answered = median([run["achieved"] for run in runs]) or 0.0
    how = (
        f"{_SECONDS} s each, open loop: requests are sent when they are due, whatever is "
        f"outstanding. {answered:.0f} answers a second came, {refused:.0f} in all were not 200 or "
        f"never came; "
        f"99 % were sent at most {show_seconds(late)} late."
    )
    what = "The worker answers with a fixed vector of 384 numbers; the gateway has one core."
    return [how, what]


def _asked(place: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.caller", place, str(_RATE), str(_SECONDS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise CannotMeasureError(f"the caller failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

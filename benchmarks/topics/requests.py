"""What the gateway adds to a request: a caller of the gateway against a caller of its worker.

The engine is a worker that answers at once, so that the gateway is what is measured; the gateway
has one core to itself, and the worker and whoever asks have the others.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.clock import answers, wait_for
from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.registry import free_port
from mealkit.lock.model import lock_bytes, read_lock

_RATE, _SECONDS = 500, 6
_BUDGET_P50, _BUDGET_P99 = 0.001, 0.005
_START_SECONDS = 60.0
_FIGURES = ("p50", "p99")


def requests(lab: Lab) -> Iterator[Table]:
    """Measure requests at a fixed rate, to the gateway and to the worker in turn."""
    found: dict[str, list[dict[str, float]]] = {"gateway": [], "worker": []}
    with _gateway(lab) as (process, port, socket):
        places = {"gateway": f"127.0.0.1:{port}", "worker": str(socket)}
        for number in range(lab.runs):
            for name in sorted(places, reverse=bool(number % 2)):
                before = _cpu_seconds(process)
                figures = _asked(places[name])
                figures["cpu"] = (_cpu_seconds(process) - before) / figures["sent"]
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


@contextmanager
def _gateway(lab: Lab) -> Iterator[tuple[int, int, Path]]:
    """Run a gateway outside of a container, on one core, its worker on the others."""
    root = lab.scratch / "gateway"
    (root / "etc").mkdir(parents=True)
    _, small, _ = lab.first_build
    lock = read_lock(small.lock.read_bytes())
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:FixedWorker"})
    (root / "etc/kit.lock").write_bytes(lock_bytes(lock.model_copy(update={"engine": engine})))
    port = free_port()
    # A socket's path must be short, whatever the scratch folder is.
    state = Path(tempfile.mkdtemp(prefix="mealkit-"))
    environment = {
        "MEALKIT_HOST": "127.0.0.1",
        "MEALKIT_PORT": str(port),
        "MEALKIT_MODELS": str(small.context / "weights"),
        "MEALKIT_ETC": str(root / "etc"),
        "MEALKIT_STATE": str(state),
        "MEALKIT_ENGINE_PATH": str(REPOSITORY),
        "MEALKIT_TERMINATION_LOG": str(root / "termination"),
    }
    log = root / "log"
    with log.open("wb") as out:
        gateway = subprocess.Popen(
            [sys.executable, "-P", "-m", "mealkit.runtime"],
            env={**os.environ, **environment},
            stdout=out,
            stderr=out,
        )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        ready = wait_for(
            lambda: answers(connection, "/v1/health/ready"),
            lambda: gateway.poll() is not None,
            _START_SECONDS,
        )
        if ready is None:
            raise CannotMeasureError(f"no gateway: {log.read_text(errors='replace')[-500:]}")
        _part_cores(gateway.pid)
        yield gateway.pid, port, state / "worker.sock"
    finally:
        gateway.terminate()
        gateway.wait()
        shutil.rmtree(root, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)


def _part_cores(gateway: int) -> None:
    """Give the gateway the first core, and its worker all others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return
    _pin(gateway, {cores[0]})
    children = Path(f"/proc/{gateway}/task/{gateway}/children").read_text().split()
    for child in children:
        _pin(int(child), set(cores[1:]))


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process without its children: proc(5), utime and stime of stat."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pin(process: int, cores: set[int]) -> None:
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)

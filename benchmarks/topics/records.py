"""What recording adds to a request: audit log, budgets and traces, against a gateway without.

The engine is a worker that answers at once. The gateways have one core, one at a time.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.served import cpu_seconds, gateway
from mealkit.recipe.lock import Lock, read_lock
from mealkit.recipe.operations import Operations

_RATE, _SECONDS, _BYTES = 300, 6, 1024
_WITHOUT, _AUDIT, _BUDGETS, _TRACES = "nothing", "audit log", "audit log and budgets", "traces"
_BUDGET_OF_AUDIT, _BUDGET_OF_WATCHERS = 0.00005, 0.0001
_COST = {
    "cpu_hour": "1.00",
    "budgets": [
        {"name": "all", "money": "1000000"},
        {"name": "day", "per": "key", "tokens": 10**12},
    ],
}
_OPS = {
    _AUDIT: {"audit": {}},
    _BUDGETS: {"audit": {}, "cost": _COST},
    _TRACES: {"telemetry": True},
}
_LIMITS = {_AUDIT: _BUDGET_OF_AUDIT, _BUDGETS: _BUDGET_OF_WATCHERS, _TRACES: None}
_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def records(lab: Lab) -> Iterator[Table]:
    """Measure requests at a fixed rate, to each gateway in turn."""
    _, small, _ = lab.first_build
    lock = read_lock(small.lock.read_bytes())
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:FixedWorker"})
    plain = lock.model_copy(update={"engine": engine})
    locks = {_WITHOUT: plain, **{name: _with(plain, name) for name in _OPS}}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in locks}
    with _collector(), ExitStack() as stack:
        served = {
            name: stack.enter_context(gateway(lab, item, small.context / "weights"))
            for name, item in locks.items()
        }
        for number in range(lab.runs):
            for name in sorted(served, reverse=bool(number % 2)):
                process = served[name].process
                before = cpu_seconds(process)
                figures = _asked(served[name].port)
                figures["cpu"] = (cpu_seconds(process) - before) / figures["sent"]
                found[name].append(figures)
                lab.tell(f"{name}: CPU {show_seconds(figures['cpu'])}")
    yield _table(found)


def _with(lock: Lock, name: str) -> Lock:
    ops = Operations.model_validate_json(json.dumps(_OPS[name]))
    return lock.model_copy(update={"ops": ops})


@contextmanager
def _collector() -> Iterator[None]:
    """Run a collector that takes everything, and name it to the gateways."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    os.environ[_ENDPOINT] = f"http://127.0.0.1:{server.server_address[1]}/v1/traces"
    try:
        yield
    finally:
        del os.environ[_ENDPOINT]
        server.shutdown()
        server.server_close()


def _table(found: dict[str, list[dict[str, float]]]) -> Table:
    rows = []
    for name, budget in _LIMITS.items():
        own, other = ([run["cpu"] for run in found[key]] for key in (name, _WITHOUT))
        added = median([a - b for a, b in zip(own, other, strict=True)]) or 0.0
        rows.append(
            Row(
                f"CPU time added to a request, {name}",
                show_seconds(added),
                f"{show_seconds(median(own) or 0)} less {show_seconds(median(other) or 0)}",
                median([a / b for a, b in zip(own, other, strict=True)]),
                budget="" if budget is None else f"≤ {show_seconds(budget)}",
                met=None if budget is None else added <= budget,
                samples={name: own, _WITHOUT: other},
            )
        )
    refused = sum(run["refused"] for runs in found.values() for run in runs)
    how = (
        f"{_RATE} requests a second of {_BYTES} bytes of text, {_SECONDS} s each; {refused:.0f} in "
        "all were not 200 or never came. The CPU time is that of the whole process, with the "
        "threads that write to the disk, book and export."
    )
    return Table("Records", rows, [how])


def _asked(port: int) -> dict[str, float]:
    numbers = map(str, (_RATE, _SECONDS, _BYTES))
    command = [sys.executable, "-m", "benchmarks.caller", f"127.0.0.1:{port}", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise CannotMeasureError(f"the caller failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

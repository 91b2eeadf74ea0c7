"""What recording adds to a request: audit log, budgets and traces, against a gateway without.

The engine is a worker that answers at once. The gateways have one core, one at a time.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.variants import Found, Load, added_row, in_turn, plain_lock
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations

_LOAD = Load(rate=300, seconds=6, size_bytes=1024)
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
    plain, weights = plain_lock(lab)
    locks = {_WITHOUT: plain, **{name: _with(plain, name) for name in _OPS}}
    with _collector():
        yield _table(in_turn(lab, locks, weights, _LOAD, "cpu"))


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


def _table(found: Found) -> Table:
    what = "CPU time added to a request"
    rows = [
        added_row(found, what, name, _WITHOUT, "cpu", budget) for name, budget in _LIMITS.items()
    ]
    how = (
        f"{_LOAD.said(found)} The CPU time is that of the whole process, with the threads that "
        "write to the disk, book and export."
    )
    return Table("Records", rows, [how])

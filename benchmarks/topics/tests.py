"""What a test of a claim adds to the time of asking the same questions with a bare client.

The worker takes ten milliseconds for a request, one at a time, as a small model on one core does.
"""

import http.client
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.figures import Row, Table, against
from benchmarks.lab import Lab
from benchmarks.served import Served, gateway
from mealkit.acceptance.target import Target, TestOptions
from mealkit.acceptance.testing import require_libraries, run_tests
from mealkit.digest import digest_of_file
from mealkit.recipe.claims import AskSimilarity, Claimed, LockedDataset, Metric, Tolerance
from mealkit.recipe.lock import Lock, read_lock
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin

_ROWS, _CONCURRENCY, _WORDS = 1000, 4, 12
_BUDGET = 1.05
_DATA = "pairs/pairs.jsonl"
_CLAIM = Claimed(
    name="similarity",
    source="ours",
    data="pairs",
    ask=AskSimilarity(kind="similarity", first="a", second="b"),
    metric=Metric.MAE,
    value=0,
    tolerance=Tolerance(absolute=0.1),
)


def tests(lab: Lab) -> Iterator[Table]:
    """Ask with a bare client, and test, in turn."""
    _, small, _ = lab.first_build
    path = lab.scratch / "pairs.jsonl"
    rows = _written(path)
    lock = _lock(read_lock(small.lock.read_bytes()), path)
    require_libraries(lock.claims)
    bare: list[float] = []
    tested: list[float] = []
    with gateway(lab, lock, small.context / "weights") as served:
        bodies = [_body(lock, row) for row in rows]
        for number in range(lab.runs):
            for is_test in (bool(number % 2), not number % 2):
                if is_test:
                    tested.append(_tested(lock, served, path))
                    lab.tell(f"tested: {tested[-1]:.2f} s")
                else:
                    bare.append(_asked(served, bodies))
                    lab.tell(f"asked by a bare client: {bare[-1]:.2f} s")
    yield _table(tested, bare)


def _table(tested: list[float], bare: list[float]) -> Table:
    title = f"Testing a claim of {_ROWS} rows, {_CONCURRENCY} requests at a time"
    what = "asked, measured, with its interval"
    rows: list[Row] = against(what, tested, ("bare client", bare), _BUDGET)
    return Table(title, rows, [(__doc__ or "").split("\n\n")[1].strip().replace("\n", " ")])


def _written(path: Path) -> list[dict[str, str | float]]:
    words = [f"word{number}" for number in range(500)]
    draw = random.Random(0)
    rows: list[dict[str, str | float]] = [
        {name: " ".join(draw.choices(words, k=_WORDS)) for name in ("a", "b")} | {"expected": 1.0}
        for _ in range(_ROWS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def _lock(lock: Lock, path: Path) -> Lock:
    file = LockedFile(
        path=_DATA,
        sha256=digest_of_file(path),
        size_bytes=path.stat().st_size,
        format="data",
        origins=(FolderOrigin(file=path.name),),
    )
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:BusyWorker"})
    datasets = {"pairs": LockedDataset(files=(file,))}
    return lock.model_copy(update={"engine": engine, "datasets": datasets, "claims": (_CLAIM,)})


def _tested(lock: Lock, served: Served, path: Path) -> float:
    target = Target(f"http://127.0.0.1:{served.port}")
    began = time.perf_counter()
    report = run_tests(lock, target, {_DATA: path}, TestOptions(concurrency=_CONCURRENCY))
    seconds = time.perf_counter() - began
    if report.failed:
        raise RuntimeError(report.claims[0].reason)
    return seconds


def _body(lock: Lock, row: dict[str, str | float]) -> bytes:
    texts = [row["a"], row["b"]]
    return json.dumps({"model": lock.model.name, "input": texts}).encode()


def _asked(served: Served, bodies: Sequence[bytes]) -> float:
    """Ask everything on connections that stay open, and read the answers."""
    left = iter(bodies)
    turn = threading.Lock()

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        while True:
            with turn:
                body = next(left, None)
            if body is None:
                return
            connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
            json.loads(connection.getresponse().read())

    threads = [threading.Thread(target=work) for _ in range(_CONCURRENCY)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began

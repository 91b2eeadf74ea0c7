"""What a data contract adds to a request: a gateway with one against the same gateway without.

The engine is a worker that answers at once. The gateways have one core, one at a time.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.figures import Row, Table, show_seconds
from benchmarks.lab import REPOSITORY, Lab
from benchmarks.measured import CannotMeasureError, median
from benchmarks.served import cpu_seconds, gateway
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.lock import Lock, read_lock

_RATE, _SECONDS, _BYTES = 200, 6, 1024
_BUDGET = 0.0001
_WITHOUT, _RULES, _LANGUAGES = "without", "with rules", "with languages"
_QUALITY = {
    "undecodable": 0.01,
    "repeated": 0.9,
    "mojibake": 0.01,
    "broken_hyphenation": 0.5,
    "ocr_noise": 0.5,
}
_CONTRACTS = {
    _RULES: {
        "schema": {"schema": {"type": "string", "pattern": "^[ -~]*$"}},
        "length": {"minimum_characters": 1, "maximum_characters": 4096},
        "quality": _QUALITY,
    },
    _LANGUAGES: {"languages": {"allowed": ["en"]}},
}


def contracts(lab: Lab) -> Iterator[Table]:
    """Measure requests at a fixed rate, to each gateway in turn."""
    _, small, _ = lab.first_build
    lock = read_lock(small.lock.read_bytes())
    engine = lock.engine.model_copy(update={"worker": "benchmarks.fixed_worker:FixedWorker"})
    plain = lock.model_copy(update={"engine": engine})
    locks = {_WITHOUT: plain, **{name: _with(plain, name) for name in _CONTRACTS}}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in locks}
    with ExitStack() as stack:
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
                lab.tell(f"{name}: p50 {show_seconds(figures['p50'])}")
    yield _table(found)


def _with(lock: Lock, name: str) -> Lock:
    form = {"inputs": {"input": _CONTRACTS[name]}}
    contract = DataContract.model_validate_json(json.dumps(form))
    return lock.model_copy(update={"data": contract})


def _table(found: dict[str, list[dict[str, float]]]) -> Table:
    rows = [
        row
        for name, budget in ((_RULES, _BUDGET), (_LANGUAGES, None))
        for row in (_row(found, name, "p50", budget), _row(found, name, "cpu", None))
    ]
    refused = sum(run["refused"] for runs in found.values() for run in runs)
    how = (
        f"{_RATE} requests a second of {_BYTES} bytes of text, {_SECONDS} s each; {refused:.0f} in "
        "all were not 200 or never came. The rules are a schema with a pattern, a length in "
        "characters and the five measures of quality."
    )
    return Table("Data contract", rows, [how])


def _row(
    found: dict[str, list[dict[str, float]]], name: str, figure: str, budget: float | None
) -> Row:
    own, other = ([run[figure] for run in found[key]] for key in (name, _WITHOUT))
    added = median([a - b for a, b in zip(own, other, strict=True)]) or 0.0
    what = "added to a request, p50" if figure == "p50" else "CPU time added to a request"
    return Row(
        f"{what}, {name}",
        show_seconds(added),
        f"{show_seconds(median(own) or 0)} less {show_seconds(median(other) or 0)}",
        median([a / b for a, b in zip(own, other, strict=True)]),
        budget="" if budget is None else f"≤ {show_seconds(budget)}",
        met=None if budget is None else added <= budget,
        samples={name: own, _WITHOUT: other},
    )


def _asked(port: int) -> dict[str, float]:
    place = f"127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "benchmarks.caller",
        place,
        *map(str, (_RATE, _SECONDS, _BYTES)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    if done.returncode:
        raise CannotMeasureError(f"the caller failed: {done.stderr.strip()[-500:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

"""What a data contract adds to a request: a gateway with one against the same gateway without.

The engine is a worker that answers at once. The gateways have one core, one at a time.
"""

import json
from collections.abc import Iterator

from benchmarks.figures import Table
from benchmarks.lab import Lab
from benchmarks.variants import Found, Load, added_row, in_turn, plain_lock
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.lock import Lock

_LOAD = Load(rate=200, seconds=6, size_bytes=1024)
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
    plain, weights = plain_lock(lab)
    locks = {_WITHOUT: plain, **{name: _with(plain, name) for name in _CONTRACTS}}
    yield _table(in_turn(lab, locks, weights, _LOAD, "p50"))


def _with(lock: Lock, name: str) -> Lock:
    form = {"inputs": {"input": _CONTRACTS[name]}}
    contract = DataContract.model_validate_json(json.dumps(form))
    return lock.model_copy(update={"data": contract})


def _table(found: Found) -> Table:
    time, cpu = "added to a request, p50", "CPU time added to a request"
    rows = [
        row
        for name, budget in ((_RULES, _BUDGET), (_LANGUAGES, None))
        for row in (
            added_row(found, time, name, _WITHOUT, "p50", budget),
            added_row(found, cpu, name, _WITHOUT, "cpu", None),
        )
    ]
    how = (
        f"{_LOAD.said(found)} The rules are a schema with a pattern, a length in characters and "
        "the five measures of quality."
    )
    return Table("Data contract", rows, [how])

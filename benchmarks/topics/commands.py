"""Small commands: how long a user waits for help."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Table, against, within
from benchmarks.lab import Lab
from benchmarks.measured import measure, take_turns

_RUNS = 7
_HELP, _PYTHON = "mealkit --help", "starting Python"


def commands(lab: Lab) -> Iterator[Table]:
    """Measure ``mealkit --help`` against an interpreter that does nothing."""
    home = Path(lab.scratch) / "help"
    field = take_turns(
        {
            _PYTHON: lambda _: measure([sys.executable, "-c", "pass"]),
            _HELP: lambda _: lab.mealkit(home, "--help"),
        },
        max(lab.runs, _RUNS),
        lab.tell,
    )
    rows = within(_HELP, field.seconds(_HELP), 0.3, field.samples(_HELP))
    rows += against(_HELP, field.seconds(_HELP), (_PYTHON, field.seconds(_PYTHON)))
    yield Table("Help", rows)

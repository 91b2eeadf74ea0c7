"""Preflight: how long it takes to know whether a kit fits, before anything is pulled."""

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Row, Table, against, memory, within
from benchmarks.lab import Lab
from benchmarks.measured import measure, take_turns
from benchmarks.registry import registry

_RUNS = 7
_BUDGET_SECONDS = 1.0
_REMOTE, _KIT, _HOST, _PYTHON = (
    "mealkit preflight REF",
    "mealkit preflight KIT",
    "mealkit host",
    "starting Python",
)


def preflights(lab: Lab) -> Iterator[Table]:
    """Measure the preflight of a kit and of an image that is only in a registry."""
    home, kit, _ = lab.first_build
    empty = Path(lab.scratch) / "nothing-here"
    with registry(lab.scratch / "registry") as here:
        reference = f"{here.address}/{kit.name}:1.0.0"
        lab.mealkit(home, "build", "--locked", "--push", reference, kit.folder)
        before = here.requests()
        lab.mealkit(empty, "preflight", reference)
        asked = here.requests() - before
        field = take_turns(
            {
                _PYTHON: lambda _: measure([sys.executable, "-c", "pass"]),
                _REMOTE: lambda _: lab.mealkit(empty, "preflight", reference),
                _KIT: lambda _: lab.mealkit(home, "preflight", kit.folder),
                _HOST: lambda _: lab.mealkit(empty, "host"),
            },
            max(lab.runs, _RUNS),
            lab.tell,
        )
    rows = within(_REMOTE, field.seconds(_REMOTE), _BUDGET_SECONDS, field.samples(_REMOTE))
    rows.append(
        Row(
            "what it asks the registry",
            ", ".join(f"{count} {method}" for method, count in sorted(asked.items())),
            budget="nothing pulled",
            met=asked["GET"] <= 2 and not asked["POST"],
        )
    )
    rows += within(_KIT, field.seconds(_KIT), _BUDGET_SECONDS, field.samples(_KIT))
    rows += against(_HOST, field.samples(_HOST), (_PYTHON, field.samples(_PYTHON)))
    rows += memory("peak memory of a preflight", field.peak_bytes(_REMOTE))
    yield Table("Preflight", rows)

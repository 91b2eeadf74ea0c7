"""Measures commands as whole processes, several contenders in turn so that drift hits them alike.

Refuses to count a run that failed.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launcher.py")
_SHOWN_ERROR_CHARS = 600


class CannotMeasureError(Exception):
    """Something that a measurement needs is not here; the others go on."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run; peak memory is that of the largest single process."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str
    talk: str


def measure(
    command: Sequence[str | Path],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Run:
    """Run a command to its end.

    Raises:
        CannotMeasureError: there is no such command, or it failed.
    """
    with tempfile.TemporaryDirectory(prefix="mealkit-run-") as scratch:
        result = Path(scratch) / "result.json"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _LAUNCHER, result, *command],
            env={**os.environ, **(environment or {})},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            output, talk = process.communicate()
        except BaseException:
            # The launcher's child must not go on alone, whatever ended this program.
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            raise
        if process.returncode or not result.exists():
            tail = (talk or output).strip()[-_SHOWN_ERROR_CHARS:]
            name = " ".join(str(word) for word in command[:4])
            raise CannotMeasureError(f"{name} ended with {process.returncode}: {tail}")
        form = json.loads(result.read_bytes())
    return Run(form["seconds"], form["cpu_seconds"], form["peak_bytes"], output, talk)


Contender = Callable[[int], Run]


@dataclass(frozen=True, slots=True)
class Field:
    """What every contender did, and why some did nothing."""

    runs: Mapping[str, Sequence[Run]]
    absent: Mapping[str, str]

    def seconds(self, name: str) -> float | None:
        """Return a contender's median seconds; None if it could not be measured."""
        return median([run.seconds for run in self.runs.get(name, ())])

    def samples(self, name: str) -> list[float]:
        """Return a contender's seconds, in the order of its runs."""
        return [run.seconds for run in self.runs.get(name, ())]

    def peak_bytes(self, name: str) -> int | None:
        """Return a contender's highest peak."""
        return max((run.peak_bytes for run in self.runs.get(name, ())), default=None)


def take_turns(
    contenders: Mapping[str, Contender], runs: int, tell: Callable[[str], None]
) -> Field:
    """Run all contenders ``runs`` times, another one first in each round.

    A contender that cannot be measured is left out from then on, with the reason.
    """
    found: dict[str, list[Run]] = {name: [] for name in contenders}
    absent: dict[str, str] = {}
    names = list(contenders)
    for number in range(runs):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            if name in absent:
                continue
            try:
                run = contenders[name](number)
            except CannotMeasureError as error:
                absent[name] = str(error)
                tell(f"{name}: not measured, {error}")
                continue
            found[name].append(run)
            tell(f"{name}: {run.seconds:.2f} s")
    return Field(
        {name: done for name, done in found.items() if done and name not in absent}, absent
    )


def median(values: Sequence[float]) -> float | None:
    """Return the median; None of nothing."""
    return statistics.median(values) if values else None

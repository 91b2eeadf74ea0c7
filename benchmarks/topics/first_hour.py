"""A new user's first hour: the demo of a fresh clone, and each tutorial carried out."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.figures import Row, Table, show_bytes, show_seconds, within
from benchmarks.lab import REPOSITORY, Lab, disk_bytes
from benchmarks.measured import CannotMeasureError
from benchmarks.pages import Played, play, steps_of

_FIRST_ANSWER_SECONDS = 60.0
_TUTORIAL_SECONDS = 600.0
_INSTALLED_BYTES = 300 * 1000**2
_DEMO_PHASES = {
    "installing": "# The kit:",
    "checking and locking": "# Build:",
    "building": "# Run:",
    "starting": "# Ask:",
    "asking": "# Refuse:",
}
"""The parts of the demo, and the first words of what it prints after each."""


def first_hours(lab: Lab) -> Iterator[Table]:
    """Measure the demo with empty caches, then each tutorial with a home of its own."""
    yield _demo(lab)
    for page in sorted((REPOSITORY / "docs" / "tutorial").glob("*.md")):
        yield _tutorial(lab, page)
    yield _templates(lab)


def _demo(lab: Lab) -> Table:
    folder = lab.scratch / "fresh"
    lab.tell("make demo, in a fresh clone with empty caches")
    _git("clone", "--quiet", "--no-hardlinks", REPOSITORY, folder)
    caches = {"UV_CACHE_DIR": "uv", "PIP_CACHE_DIR": "pip", "XDG_CACHE_HOME": "cache"}
    places = {name: str(lab.scratch / place) for name, place in caches.items()}
    lines = _timed(
        ["make", "demo"], folder, {**places, "MEALKIT_HOME": str(lab.scratch / "demo-home")}
    )
    rows, ended = [], 0.0
    for phase, sign in _DEMO_PHASES.items():
        at = next((seconds for seconds, line in lines if line.startswith(sign)), None)
        if at is None:
            raise CannotMeasureError(f"the demo did not print {sign!r}")
        rows.append(Row(phase, show_seconds(at - ended)))
        ended = at
    rows += within("first answer of a fresh clone", ended, _FIRST_ANSWER_SECONDS)
    size_bytes = disk_bytes(folder / ".venv")
    rows.append(
        Row(
            "what is installed",
            show_bytes(size_bytes),
            budget=f"≤ {show_bytes(_INSTALLED_BYTES)}",
            met=size_bytes <= _INSTALLED_BYTES,
        )
    )
    return Table("The demo, from nothing", rows)


def _tutorial(lab: Lab, page: Path) -> Table:
    """Play a tutorial; the reader's own time, for reading and writing, is not in the figures."""
    folder = lab.scratch / page.stem
    folder.mkdir()
    (folder / "kits").symlink_to(REPOSITORY / "kits")
    variables = {
        "MEALKIT_HOME": str(lab.scratch / f"{page.stem}-home"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    played: list[Played] = []
    for step in play(steps_of(page.read_text()), folder, variables):
        played.append(step)
        lab.tell(f"{step.seconds:6.1f} s  {step.line.splitlines()[0][:100]}")
    if not played:
        raise CannotMeasureError(f"{page.name} has no command")
    title = page.read_text().partition("\n")[0].removeprefix("# ")
    slow = sorted((step for step in played if step.seconds >= 1), key=lambda step: -step.seconds)
    rows = [Row(step.line.splitlines()[0][:60], show_seconds(step.seconds)) for step in slow[:5]]
    answered = _until_answer(played)
    rows += within("until the first answer", answered, _FIRST_ANSWER_SECONDS)
    rows += within("all its commands", sum(step.seconds for step in played), _TUTORIAL_SECONDS)
    return Table(title, rows)


def _templates(lab: Lab) -> Table:
    """Make, lock, build and start a kit of each template, unchanged, with one home for all."""
    folder, home = lab.scratch / "templates", lab.scratch / "templates-home"
    folder.mkdir()
    listed = json.loads(lab.mealkit(home, "new", "--list", "--json").output)
    rows, notes = list[Row](), list[str]()
    for item in listed:
        what = f"{item['engine']}, {item['task']}"
        name = f"{lab.name}-{item['engine']}-{item['task']}"
        kit = folder / name
        lab.tell(f"template: {what}")
        try:
            began = time.monotonic()
            choice = ("--engine", item["engine"], "--task", item["task"], "--no-prepare")
            lab.mealkit(home, "new", kit, *choice)
            if item["prepare"]:
                _give_wheel(kit)
            for verb in ("check", "lock", "build"):
                lab.mealkit(home, verb, kit)
            # Ready is a kit that has answered its first case.
            lab.mealkit(home, "run", kit, "--port", "0", "--name", name)
            rows += within(what, time.monotonic() - began, _FIRST_ANSWER_SECONDS)
        except CannotMeasureError as error:
            notes.append(f"{what}: not measured, {error}")
            continue
        lab.mealkit(home, "stop", name)
    return Table("Each template as it is written: new, check, lock, build and run", rows, notes)


def _give_wheel(kit: Path) -> None:
    """Copy the wheel that the template's script would make or download, if a kit here has it."""
    name = (kit / "wheel.sha256").read_text().split()[1].removeprefix("*").removeprefix("wheels/")
    for found in (REPOSITORY / "kits").glob(f"*/wheels/{name}"):
        (kit / "wheels").mkdir(exist_ok=True)
        shutil.copy(found, kit / "wheels" / name)
        return
    raise CannotMeasureError(f"no kit here has {name}; its script was not run")


def _until_answer(played: list[Played]) -> float | None:
    """Return the seconds of all commands to the first that asks a kit; None if none does."""
    spent = 0.0
    for step in played:
        spent += step.seconds
        if step.line.startswith(("curl ", "mealkit predict ", "mealkit chat ", "mealkit embed ")):
            return spent
    return None


def _timed(
    command: list[str], folder: Path, variables: Mapping[str, str]
) -> list[tuple[float, str]]:
    """Run a command; return its lines, each with the seconds from the start to it."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101  for the types
        lines = [(time.monotonic() - began, line.rstrip("\n")) for line in process.stdout]
    if process.returncode:
        tail = "\n".join(line for _, line in lines[-10:])
        raise CannotMeasureError(f"{' '.join(command)} ended with {process.returncode}: {tail}")
    return lines


def _git(*arguments: str | Path) -> None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotMeasureError(f"git {arguments[0]}: {done.stderr.strip()}")

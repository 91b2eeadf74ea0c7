"""A kit that is edited: from the save of a handler to the next version that is ready."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benchmarks.figures import Row, Table, against, within
from benchmarks.lab import REPOSITORY, Lab, mealkit_command
from benchmarks.measured import CannotMeasureError, median

_READY_SECONDS = 1.0
_KIT = REPOSITORY / "kits" / "rake"
_BARE = """
import sys
sys.path.insert(0, sys.argv[1])
import pydantic
from pathlib import Path
from handler import Rake
Rake().load(Path(sys.argv[1]) / "model")
"""


def edits(lab: Lab) -> Iterator[Table]:
    """Save an example kit's handler, in turn with starts of the bare handler."""
    rows: list[Row] = []
    notes: list[str] = []
    with lab.warm_home("edit-home") as home:
        for client in ("sandbox", "docker"):
            kit = lab.scratch / f"edited-{client}"
            shutil.copytree(_KIT, kit)
            try:
                saves, bare = _saves(lab, home, kit, client)
            except CannotMeasureError as error:
                notes.append(f"{client}: {error}")
                continue
            what = f"ready after a save, in {client}"
            rows += within(what, median(saves), _READY_SECONDS, saves)
            rows += against(f"{what}, and the handler alone", saves, ("a bare handler", bare))
    yield Table("From a save to the next version", rows, notes)


def _saves(lab: Lab, home: Path, kit: Path, client: str) -> tuple[list[float], list[float]]:
    command = [*mealkit_command(), "dev", str(kit), "--client", client, "--port", "0", "--json"]
    saves: list[float] = []
    bare: list[float] = []
    with subprocess.Popen(
        command,
        env={**os.environ, "MEALKIT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout  # noqa: S101  it is a pipe
            _ready(process.stdout)
            handler = kit / "handler.py"
            for number in range(lab.runs):
                began = time.monotonic()
                handler.write_text(f"{handler.read_text()}# save {number}\n")
                _ready(process.stdout)
                saves.append(time.monotonic() - began)
                bare.append(_bare_seconds(kit))
                lab.tell(f"save {number + 1} in {client}: {saves[-1]:.2f} s, bare {bare[-1]:.2f} s")
        finally:
            process.terminate()
    return saves, bare


def _ready(events: IO[str]) -> None:
    for line in events:
        if json.loads(line)["event"] == "ready":
            return
    raise CannotMeasureError("the kit did not start")


def _bare_seconds(kit: Path) -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", _BARE, str(kit)], check=True)
    return time.monotonic() - began

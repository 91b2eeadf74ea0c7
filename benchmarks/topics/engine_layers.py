"""One more package beside a large engine: against making all of the layer, and hashing it."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import yardstick
from benchmarks.figures import Row, Table, against, show_bytes, show_seconds, within
from benchmarks.lab import Lab, disk_bytes
from benchmarks.measured import CannotMeasureError, Run, measure, median, take_turns
from benchmarks.synthetic import SyntheticKit

_BUDGET_SECONDS = 5.0
_LARGE = "statsmodels"
# Small packages without dependencies; each build adds one that no build before had.
_SMALL = (
    *("tabulate", "toolz", "colorama", "termcolor", "wcwidth"),
    *("pluggy", "iniconfig", "tomli", "sniffio", "zipp"),
)
_WITH, _WITHOUT = "one more package", "one more package, everything made again"
_HASHING = "hashing the layer twice"


def engine_layers(lab: Lab) -> Iterator[Table]:
    """Measure ``mealkit build`` after ``mealkit lock``, each time with another small package."""
    if 2 * lab.runs > len(_SMALL):
        raise CannotMeasureError(f"at most {len(_SMALL) // 2} runs, one small package for each")
    with lab.synthetic(1024 * 1024, 1) as kit, lab.warm_home("engine") as home:
        bench = _Bench(lab, kit, home)
        before = disk_bytes(home)
        bench.build(_LARGE)
        first_bytes = disk_bytes(home) - before
        field = take_turns(
            {_HASHING: bench.hash, _WITH: bench.added, _WITHOUT: bench.anew}, lab.runs, lab.tell
        )
        ours = field.samples(_WITH)
        rows = within(_WITH, field.seconds(_WITH), _BUDGET_SECONDS, ours)
        rows += against(_WITH, ours, (_WITHOUT, field.samples(_WITHOUT)))
        rows += against(_WITH, ours, (_HASHING, field.samples(_HASHING)))
        records_bytes = disk_bytes(home / "store" / "pieces")
        size_bytes = bench.layer.stat().st_size
        rows.append(
            Row(
                "disk for the records of wheels",
                show_bytes(records_bytes),
                f"the layer: {show_bytes(size_bytes)}",
                records_bytes / size_bytes,
            )
        )
        cpu = {name: median([run.cpu_seconds for run in runs]) for name, runs in field.runs.items()}
        shares = ", ".join(f"{name} {show_seconds(found)}" for name, found in cpu.items() if found)
        note = (
            f"The engine is onnx with {_LARGE}. The first build of that layer took"
            f" {show_bytes(first_bytes)} of disk, wheels included. CPU time: {shares}."
        )
    yield Table("One more package beside a large engine", rows, [note])


class _Bench:
    """A kit whose engine gets one more package for each build."""

    def __init__(self, lab: Lab, kit: SyntheticKit, home: Path) -> None:
        self._lab = lab
        self._kit = kit
        self._home = home
        self._plain = (kit.folder / "kit.yaml").read_text()
        self._left = list(_SMALL)
        self.layer = home
        """The engine's newest layer."""

    def added(self, _number: int) -> Run:
        """Build with one more package."""
        return self.build(_LARGE, self._left.pop(0))

    def anew(self, _number: int) -> Run:
        """Build with one more package, as if no wheel had been unpacked before."""
        shutil.rmtree(self._home / "store" / "pieces")
        return self.build(_LARGE, self._left.pop(0))

    def hash(self, _number: int) -> Run:
        """Hash the newest layer: of its files, and of it, each build needs the digests."""
        return measure([sys.executable, "-I", "-S", Path(yardstick.__file__), self.layer])

    def build(self, *packages: str) -> Run:
        """Build with packages beside the engine's own."""
        python = '  python: "3.13"\n'
        wanted = f"{python}  requirements: [{', '.join(packages)}]\n"
        (self._kit.folder / "kit.yaml").write_text(self._plain.replace(python, wanted))
        self._lab.mealkit(self._home, "lock", self._kit.folder)
        run = self._lab.mealkit(
            self._home, "build", "--locked", "--replace", "--json", self._kit.folder
        )
        layers = json.loads(run.output)["layers"]
        digest = next(layer["digest"] for layer in layers if layer["kind"] == "engine")
        self.layer = self._home / "store" / "blobs" / "sha256" / digest.removeprefix("sha256:")
        return run

"""Where measuring happens: a scratch folder, mealkit with its own home, and what was asked for.

Refuses to touch anyone's store: every home is below the scratch folder, which is deleted.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from benchmarks.measured import Run, measure
from benchmarks.synthetic import SyntheticKit, make_kit

_SMALL_BYTES = 1024 * 1024

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass
class Lab:
    """One session of measuring."""

    scratch: Path
    sizes: Sequence[int]
    runs: int
    tell: Callable[[str], None] = field(repr=False)

    @property
    def name(self) -> str:
        """What everything that is made outside the scratch folder is called."""
        return f"mealkit-bench-{os.getpid()}"

    @cached_property
    def first_build(self) -> tuple[Path, SyntheticKit, Run]:
        """Build a small kit from an empty home: its home, the kit, and how that went.

        Everything but the weights is then known to the home, and copies of it are warm.
        """
        self.tell("a small kit, from an empty home: inputs are fetched, every layer is made")
        kit = make_kit(self.scratch / "small", f"{self.name}-small", _SMALL_BYTES, 1)
        home = self.scratch / "warm"
        return home, kit, self.mealkit(home, "build", kit.folder)

    def mealkit(self, home: Path, *arguments: str | Path) -> Run:
        """Measure one mealkit command with a home."""
        # The synthetic kits' weights lie beside the kits' own folders.
        environment = {"MEALKIT_HOME": str(home), "MEALKIT_ALLOW_FOLDERS": str(self.scratch)}
        return measure([*mealkit_command(), *arguments], environment)

    @contextmanager
    def warm_home(self, name: str) -> Iterator[Path]:
        """Lend a copy of the warm home."""
        source = self.first_build[0]
        home = self.scratch / name
        shutil.copytree(source, home, symlinks=True)
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)

    @contextmanager
    def synthetic(self, size_bytes: int, files: int) -> Iterator[SyntheticKit]:
        """Lend a locked kit with random weights."""
        small = self.first_build[1]
        root = self.scratch / f"kit-{size_bytes}-{files}"
        self.tell(f"writing {size_bytes >> 20} MiB of random weights in {files} files")
        try:
            kit = make_kit(root, f"{self.name}-{files}", size_bytes, files)
            # Packages and base are as the small kit's lock says; only weights are resolved.
            shutil.copy(small.lock, kit.lock)
            with self.warm_home("locking") as home:
                self.mealkit(home, "lock", kit.folder, "--upgrade", "weights")
            yield kit
        finally:
            shutil.rmtree(root, ignore_errors=True)


def mealkit_command() -> list[str]:
    """Return how mealkit is called: the program beside this Python, as its users call it."""
    program = Path(sys.executable).with_name("mealkit")
    return [str(program)] if program.exists() else [sys.executable, "-m", "mealkit"]


def disk_bytes(folder: Path) -> int:
    """Return the bytes that a folder takes on the disk, as ``du`` counts them."""
    seen: dict[tuple[int, int], int] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            found = (Path(root) / name).lstat()
            seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())

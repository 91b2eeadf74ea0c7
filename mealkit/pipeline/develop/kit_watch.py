"""Notices that files of a kit were saved, by looking at them.

A few hundred calls of stat every tenth of a second cost nothing that can be measured, work on every
file system, also on those of networks, whose changes the kernel does not report, and see editors
that save by renaming. So no library that watches is needed.
"""

import os
import stat
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

LOOK_SECONDS = 0.1
_SETTLED_SECONDS = 0.05
# Folders of thousands of files are data, which no author edits while they wait for it.
_MOST_FILES = 2000
# Looking takes at most this part of the time.
_SHARE = 10
# What editors, Python and version control leave in a folder.
_IGNORED = frozenset({"__pycache__", "node_modules", "venv"})

Look = Mapping[str, tuple[int, int, int]]
"""Size, time of the last change and inode of each file, by its path in the kit's folder."""


class KitWatch:
    """The files in a kit's folder as they were when they were looked at last."""

    def __init__(self, folder: Path, named: Collection[str] = ()) -> None:
        """Look for the first time; the files in ``named`` are always looked at."""
        self._folder = folder
        self.named = frozenset(named)
        """The paths of the files that the kit names, which a folder of thousands does not hide."""
        self._seen = _look(folder, self.named)
        self.pause_seconds = LOOK_SECONDS
        """How long to wait until the next look."""

    def saved(self) -> tuple[str, ...]:
        """Return the files that were saved since the last call, once no more are being written."""
        began = time.monotonic()
        now = _look(self._folder, self.named)
        self.pause_seconds = max(LOOK_SECONDS, _SHARE * (time.monotonic() - began))
        if now == self._seen:
            return ()
        while True:
            time.sleep(_SETTLED_SECONDS)
            later = _look(self._folder, self.named)
            if later == now:
                break
            now = later
        paths = sorted({*now, *self._seen})
        changed = tuple(path for path in paths if now.get(path) != self._seen.get(path))
        self._seen = now
        return changed


def _look(folder: Path, named: Collection[str]) -> Look:
    found: dict[str, tuple[int, int, int]] = {}
    for name in named:
        with suppress(OSError, ValueError):  # it is not there
            _note(found, name, (folder / name).stat())
    most = len(found) + _MOST_FILES
    left = [str(folder)]
    while left and len(found) < most:
        try:
            with os.scandir(left.pop()) as entries:
                for entry in entries:
                    name = entry.name
                    if name in _IGNORED or name.startswith(".") or name.endswith("~"):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        left.append(entry.path)
                    elif len(found) < most:
                        with suppress(OSError):  # it was deleted, or is a link to nothing
                            _note(found, str(Path(entry.path).relative_to(folder)), entry.stat())
        except OSError:  # it was deleted in the meantime
            continue
    return found


def _note(found: dict[str, tuple[int, int, int]], path: str, state: os.stat_result) -> None:
    if stat.S_ISREG(state.st_mode):
        found[path] = (state.st_size, state.st_mtime_ns, state.st_ino)

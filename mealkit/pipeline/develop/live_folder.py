"""The folder that a container sees in the place of the kit's own layer, while the kit is edited.

Each version is whole: it is written beside the others, and one rename of a link makes it the one
that counts. A lock on a file says that the author's process lives; the kernel takes it when that
process ends, however it ends, and the container ends itself.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from mealkit.containers.container import Mount
from mealkit.errors import MealkitError, failure
from mealkit.files.locks import locked
from mealkit.files.whole import disk_errors
from mealkit.paths import AUTHOR, LOCK_NAME, SETTINGS, VERSION_NOW
from mealkit.pipeline.home import Home
from mealkit.plan.planning import kit_files
from mealkit.recipe.lock import Lock

_SHOWN = (LOCK_NAME, "prompts", "code")
# Kits with the same name that are edited at the same time.
_MOST = 20


class LiveFolder:
    """The versions of a kit that is edited, and the name that its container has."""

    def __init__(self, name: str, root: Path) -> None:
        """Use an empty folder."""
        self.name = name
        self._root = root
        self._number = 0
        self.version = ""
        """The name of the version that counts."""
        for shown in _SHOWN:
            (root / shown).symlink_to(f"{VERSION_NOW}/{shown}")

    @property
    def mount(self) -> Mount:
        """Where the container sees it."""
        return Mount(self._root, f"/{SETTINGS}")

    def put(self, lock: Lock) -> None:
        """Write the files of a lock, and let them count.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``; the version before still counts.
        """
        version = f".{self._number + 1}"
        folder = self._root / version
        with disk_errors(folder, "the kit's files cannot be written"):
            shutil.rmtree(folder, ignore_errors=True)
            for file in kit_files(lock):
                path = folder / PurePosixPath(file.path).relative_to(SETTINGS)
                _make_folder(path.parent)
                path.write_bytes(file.data)
                path.chmod(file.mode)
            link = self._root / f"{VERSION_NOW}.next"
            link.unlink(missing_ok=True)
            link.symlink_to(version)
            link.replace(self._root / VERSION_NOW)
        # A worker of the version before may import one of its modules now.
        shutil.rmtree(self._root / f".{self._number - 1}", ignore_errors=True)
        self._number, self.version = self._number + 1, version


@contextmanager
def live_folder(name: str, home: Home) -> Iterator[LiveFolder]:
    """Make the folder of a kit that is edited, under the first free name; remove it at the end.

    Raises:
        StoreError: the folder cannot be written.
        ContainerError: ``CONTAINER_EXISTS``, too many kits of this name are edited.
    """
    with ExitStack() as stack:
        own = _own_name(name, home.edits, stack)
        for left in home.edits.glob(f"{own}.*.d"):  # of a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        with disk_errors(home.edits):
            root = Path(tempfile.mkdtemp(prefix=f"{own}.", suffix=".d", dir=home.edits))
            stack.callback(shutil.rmtree, root, ignore_errors=True)
            root.chmod(0o755)
            author = os.open(root / AUTHOR, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            stack.callback(os.close, author)
            os.fchmod(author, 0o644)
        fcntl.flock(author, fcntl.LOCK_EX)
        yield LiveFolder(own, root)


def _own_name(name: str, folder: Path, stack: ExitStack) -> str:
    for number in range(1, _MOST + 1):
        own = name if number == 1 else f"{name}-{number}"
        with suppress(MealkitError):
            stack.enter_context(locked(folder / f"{own}.lock", wait=False))
            return own
    message = f"{_MOST} kits named {name} are edited already"
    raise failure("CONTAINER_EXISTS", message, hint="end one of them: Ctrl-C")


def _make_folder(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)

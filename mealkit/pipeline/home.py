"""The folders of mealkit on this machine: verified inputs, images and runs."""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.pipeline.ownership import make_own, require_own

REBUILDS = "rebuild-"
"""The beginning of the names of the folders in which images are built again."""


@dataclass(frozen=True, slots=True)
class Home:
    """mealkit's folder on this machine.

    Anything in it may be deleted and is created again, except ``records``.
    """

    root: Path

    @property
    def id(self) -> str:
        """What tells this home from others, also of other machines that use the same engine."""
        return Digest.of(f"{socket.gethostname()}\0{self.root}".encode()).hex[:16]

    @property
    def files(self) -> Path:
        """Verified input files, by digest."""
        return self.root / "files"

    @property
    def store(self) -> Path:
        """The local image store."""
        return self.root / "store"

    @property
    def indexes(self) -> Path:
        """Verified package indexes of Debian suites."""
        return self.root / "indexes"

    @property
    def debian(self) -> Path:
        """The packages that Debian's signed indexes confirmed, and the newest date seen per suite.

        If it is deleted, the next build of a lock queries the mirrors again. Prune keeps it.
        """
        return self.root / "debian"

    @property
    def roots(self) -> Path:
        """Unpacked images, for the sandbox."""
        return self.root / "roots"

    @property
    def loaded(self) -> Path:
        """Which images this home loaded into container engines. Without it they are not removed."""
        return self.root / "loaded"

    @property
    def uploads(self) -> Path:
        """The records of uploads that killed pushes left in registries."""
        return self.root / "uploads"

    @property
    def journals(self) -> Path:
        """The answers of tests that did not end."""
        return self.root / "tests"

    @property
    def case_files(self) -> Path:
        """The files of images' cases, for tests. Prune deletes them."""
        return self.root / "case-files"

    @property
    def front(self) -> Path:
        """The store of the image of deployments' fronts, apart from the kits' images."""
        return self.root / "front"

    @property
    def fronts(self) -> Path:
        """The configurations of deployments' fronts, and the sockets to control them."""
        return self.root / "fronts"

    @property
    def records(self) -> Path:
        """The usage and the audit logs of kits, by the name they run under. Prune keeps them."""
        return self.root / "records"

    @property
    def deployments(self) -> Path:
        """The deployments of this machine: their revisions and histories. Prune keeps them."""
        return self.root / "deployments"

    def deployment_names(self) -> list[str]:
        """Return the names of the deployments of this machine."""
        with suppress(FileNotFoundError):
            return sorted(
                path.name
                for path in self.deployments.iterdir()
                if (path / "deployment.json").is_file() and not path.name.startswith(".")
            )
        return []

    @property
    def edits(self) -> Path:
        """The files of kits that are edited, as their containers see them."""
        return self.root / "edits"

    @property
    def own_names(self) -> Path:
        """The locks of commands that run a kit for themselves, by the name of its container."""
        return self.root / "own-names"

    @property
    def runs(self) -> Path:
        """Running sandboxes: their records and logs."""
        return self.root / "runs"


def home_at(path: Path | None = None) -> Home:
    """Return the home at a path, else at ``MEALKIT_HOME``, else at the platform's usual place.

    A missing folder is created, accessible only for this user.

    Raises:
        KitError: ``USAGE``, the path begins with ``~name`` of an unknown user.
        StoreError: ``HOME_UNSAFE``, another user could change the home or the folder of temporary
            files.
    """
    if path is None:
        configured = os.environ.get("MEALKIT_HOME")
        path = Path(configured) if configured else platformdirs.user_data_path("mealkit")
    try:
        root = path.expanduser().absolute()
    except RuntimeError as error:
        raise failure("USAGE", f"there is no such user: {path}", where="MEALKIT_HOME") from error
    make_own(root)
    temporary = next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), None)
    if temporary:
        require_own(Path(temporary), shared=True)
    return Home(root)

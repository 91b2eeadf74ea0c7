"""Notices that the author saved the kit, and that the author has gone, while the kit is edited.

``mealkit dev`` mounts a folder in the place of the kit's layer. Its link ``.now`` names the version
that counts; another version replaces the link in one step. The author's process has a lock on the
file ``.author``, which the kernel takes from a process that ends, however it ends. Standard library
only.
"""

import fcntl
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from mealkit.paths import AUTHOR, DEFAULTS, VERSION_NOW

_LOOK_SECONDS = 0.05


class Edits:
    """The versions of a kit that its author edits."""

    def __init__(self, etc: str) -> None:
        """Watch the folder of the lock."""
        self._etc = etc
        self.version = self._now()
        """The version that was there when ``begin`` was called last."""

    def begin(self) -> str:
        """Return the version that is there now; later ones are new. Read the files afterwards."""
        self.version = self._now()
        return self.version

    async def next(self) -> None:
        """Wait until there is another version, or end the kit if the author has gone."""
        import asyncio  # noqa: PLC0415  slow, and the port has to be open soon

        while not self._has_changed():  # noqa: ASYNC110  files have no event
            await asyncio.sleep(_LOOK_SECONDS)

    def wait(self) -> None:
        """Wait as ``next`` does, in a thread."""
        while not self._has_changed():
            time.sleep(_LOOK_SECONDS)

    def has_author_left(self) -> bool:
        """Return whether the process of the author has ended."""
        try:
            opened = os.open(f"{self._etc}/{AUTHOR}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(opened)
        return True

    def _has_changed(self) -> bool:
        if self.has_author_left():
            os.kill(os.getpid(), signal.SIGINT)  # as mealkit stop does
        return self._now() != self.version

    def _now(self) -> str:
        # A folder that is gone is that of an author who has gone.
        with suppress(OSError):
            return os.readlink(f"{self._etc}/{VERSION_NOW}")  # noqa: PTH115
        return ""


def edits_of(environment: Mapping[str, str]) -> Edits | None:
    """Return the versions of the kit if its author edits it (``MEALKIT_DEV`` is ``on``)."""
    if environment.get("MEALKIT_DEV") != "on":
        return None
    return Edits(environment.get("MEALKIT_ETC", DEFAULTS["MEALKIT_ETC"]))

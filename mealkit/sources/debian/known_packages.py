"""Records the packages and dates from Debian's signed indexes on this machine.

A package that was in a signed index stays accepted after mirrors have replaced it. A release older
than one seen before is refused with SourceError: a mirror that serves old indexes with valid
signatures could otherwise withhold security fixes.

It writes one small file per package, named by its digest, and one per suite.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from mealkit.digest import canonical_json
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.recipe.locked_base import LockedDeb
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

_MOST_BYTES = 64 * 1024
_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}")
# The fields of a package in an index, without its path, which depends on the mirror.
_STATED = ("name", "version", "architecture", "size_bytes", "sha256")


class DebianMemory:
    """The record of one home; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Store the record in a folder, which is created if it is missing."""
        self._packages = folder / "packages"
        self._releases = folder / "releases"

    def vouches_for(self, package: LockedDeb) -> bool:
        """Return whether a signed index named this package, with its version, size and digest."""
        return _read(self._packages / f"{package.sha256.hex}.json") == _stated(package)

    def keep(self, packages: Iterable[LockedDeb]) -> None:
        """Record packages from an index whose signature was checked.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        for package in packages:
            if not self.vouches_for(package):
                _write(self._packages / f"{package.sha256.hex}.json", _stated(package))

    def require_newest(self, suite: str, date: datetime | None, where: str) -> None:
        """Raise if a release is older than the newest one of its suite that was seen here.

        Raises:
            SourceError: ``DEBIAN_INDEX``, it is older.
        """
        newest = self.newest(suite)
        if newest is None or (date is not None and date >= newest):
            return
        stated = f"is of {date:%Y-%m-%d %H:%M} UTC" if date else "states no date"
        raise failure(
            "DEBIAN_INDEX",
            f"the Debian index of {suite} {stated}; one of {newest:%Y-%m-%d %H:%M} UTC was seen"
            " here before",
            hint="use another mirror, or wait until this one has caught up;"
            f" to lock an older state on purpose, delete {self._release(suite)}",
            where=where,
        )

    def saw(self, suite: str, date: datetime | None) -> None:
        """Record the date of a release whose signature was checked, if it is the newest.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        newest = self.newest(suite)
        if date is not None and (newest is None or date > newest):
            _write(self._release(suite), {"date": date.astimezone(UTC).isoformat()})

    def newest(self, suite: str) -> datetime | None:
        """Return the date of the newest index of a suite that was seen here."""
        form = _read(self._release(suite))
        try:
            return datetime.fromisoformat(str(form["date"])).astimezone(UTC) if form else None
        except (KeyError, ValueError, OverflowError):
            return None

    def _release(self, suite: str) -> Path:
        if not _SUITE.fullmatch(suite):
            raise ValueError(f"{suite!r} is not the name of a suite")
        return self._releases / f"{suite}.json"


def _stated(package: LockedDeb) -> dict[str, object]:
    return package.model_dump(mode="json", include=set(_STATED))


def _read(path: Path) -> dict[str, object] | None:
    try:
        return parse_json_object(read_file(path, _MOST_BYTES))
    except (OSError, UntrustedError):
        return None


def _write(path: Path, form: dict[str, object]) -> None:
    write_whole(path, canonical_json(form), durable=False)

"""What this machine remembers of Debian's signed indexes: the packages and dates that they stated.

A package that an index vouched for stays vouched for, when mirrors have long replaced it. A suite
whose index was seen with a date is not taken with an older one: a mirror that serves old indexes,
still well signed, would hold fixes back. Refuses a release that is older than one seen before.

One small file for each package, by its digest, and for each suite, in a folder of the user's own.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from mealkit.digest import canonical_json
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.recipe.lock import LockedDeb
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

_MOST_BYTES = 64 * 1024
_SUITE = re.compile(r"[a-z][a-z0-9.-]{0,63}")
# What an index says of a package, but for its path: that changes with the mirror's archive.
_STATED = ("name", "version", "architecture", "size_bytes", "sha256")


class DebianMemory:
    """The record of one home; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        """Keep the record in a folder, which need not exist yet."""
        self._packages = folder / "packages"
        self._releases = folder / "releases"

    def vouches_for(self, package: LockedDeb) -> bool:
        """Tell whether a signed index named this package, with its version, size and digest."""
        return _read(self._packages / f"{package.sha256.hex}.json") == _stated(package)

    def keep(self, packages: Iterable[LockedDeb]) -> None:
        """Remember packages that an index named whose signature was checked.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        for package in packages:
            if not self.vouches_for(package):
                _write(self._packages / f"{package.sha256.hex}.json", _stated(package))

    def require_newest(self, suite: str, date: datetime | None, where: str) -> None:
        """Refuse a release that is older than one of its suite that was seen here.

        Raises:
            SourceError: ``DEBIAN_INDEX``.
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
        """Remember the date of a release whose signature was checked, if it is the newest.

        Raises:
            StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
        """
        newest = self.newest(suite)
        if date is not None and (newest is None or date > newest):
            _write(self._release(suite), {"date": date.astimezone(UTC).isoformat()})

    def newest(self, suite: str) -> datetime | None:
        """Return the newest date that a suite's index was seen with."""
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

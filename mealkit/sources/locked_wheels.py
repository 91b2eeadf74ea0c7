"""Fetches locked wheels into the cache; uv looks up the addresses of those that are missing.

Raises SourceError for bytes that are not the pinned ones.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.lock.kit_parts import PythonTarget
from mealkit.recipe.lock import LockedWheel
from mealkit.sources.download import Downloader
from mealkit.sources.local_wheels import local_wheels
from mealkit.sources.uv_tool import Question, UvRefusedError, ask_uv


def fetch_wheels(
    locked: Sequence[LockedWheel],
    downloader: Downloader,
    target: PythonTarget,
    *,
    wheels: Sequence[Path] = (),
) -> dict[Digest, Path]:
    """Return the cached file of every locked wheel; uv is used only for those that are missing.

    Raises:
        SourceError: ``PACKAGES_GONE`` (the index no longer has these bytes), or an error of a
            download.
        KitError: a local wheel is missing (``KIT_FILE_MISSING``).
    """
    done: dict[Digest, Path] = {}
    missing: list[LockedWheel] = []
    for wheel in locked:
        cached = downloader.cache.path(wheel.sha256)
        if cached is None:
            missing.append(wheel)
        else:
            done[wheel.sha256] = cached
            downloader.task.advance(cached.stat().st_size)
    own = {wheel.digest: wheel.path for wheel in local_wheels(wheels)} if missing else {}
    remote = [wheel for wheel in missing if not wheel.local]
    addresses: dict[Digest, str] = {}
    for part in _without_conflicts(remote):
        addresses |= _addresses(part, target)
    for wheel in missing:
        address = _local_address(wheel, own) if wheel.local else addresses[wheel.sha256]
        _, done[wheel.sha256] = downloader.fetch(
            address,
            expected=wheel.sha256,
            size_bytes=wheel.size_bytes or None,
        )
    return done


def _without_conflicts(locked: Sequence[LockedWheel]) -> list[list[LockedWheel]]:
    """Return the wheels in parts, each with one version of a package: a question has one answer.

    An image has two sets of packages, the engine's and the gateway's, which may differ.
    """
    parts: list[dict[str, LockedWheel]] = []
    for wheel in locked:
        part = next((item for item in parts if wheel.name not in item), None)
        if part is None:
            parts.append(part := {})
        part[wheel.name] = wheel
    return [list(part.values()) for part in parts]


def _local_address(wheel: LockedWheel, own: dict[Digest, Path]) -> str:
    if wheel.sha256 not in own:
        raise failure(
            "KIT_FILE_MISSING",
            f"runtime.wheels contains no {wheel.filename} with {wheel.sha256}",
            hint="restore the wheel, or: mealkit lock --upgrade python",
        )
    return str(own[wheel.sha256])


def _addresses(locked: Sequence[LockedWheel], target: PythonTarget) -> dict[Digest, str]:
    pins = tuple(f"{wheel.name}=={wheel.version}" for wheel in locked)
    try:
        offered = ask_uv(Question(pins, target, with_dependencies=False))
    except UvRefusedError as refused:
        gone = [wheel.filename for wheel in locked if _names(refused.reason, wheel)]
        raise failure(
            "PACKAGES_GONE",
            f"{', '.join(gone) or 'a wheel'}: no longer at the index: {refused.reason}",
        ) from refused
    addresses = {wheel.digest: wheel.url for wheel in offered if wheel.digest}
    gone = [wheel.filename for wheel in locked if wheel.sha256 not in addresses]
    if gone:
        raise failure(
            "PACKAGES_GONE", f"the index no longer has the pinned bytes of {', '.join(gone)}"
        )
    return {wheel.sha256: addresses[wheel.sha256] for wheel in locked}


def _names(reason: str, wheel: LockedWheel) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(wheel.name)}(?![\w-])", reason) is not None

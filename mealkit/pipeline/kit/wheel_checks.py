"""Checks a kit's own wheels without installing them: each fits its Python, or another one does.

A folder may have wheels for several targets, so a package is wrong only if none of its wheels fits.
"""

from collections.abc import Iterator
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from mealkit.errors import MealkitError, Problem, problem
from mealkit.lock.kit_parts import PythonTarget
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.sources.ranges import FileRanges
from mealkit.sources.uv_target import wheel_tags
from mealkit.sources.zip_archive import open_archive
from mealkit.untrusted import UntrustedError

# No base has a newer one yet; what an older base lacks is told when locking.
_NEWEST_GLIBC = "2.99"


def wheel_problems(kit: OpenedKit) -> list[Problem]:
    """Return a problem for each wheel that is damaged, or of no use to the kit."""
    return [*_damaged(kit), *_unfit(kit)] if kit.local_wheels else []


def _damaged(kit: OpenedKit) -> Iterator[Problem]:
    for path in kit.local_wheels:
        try:
            with open_archive(FileRanges(path)) as archive:
                names = archive.namelist()
            fault = None if any(name.endswith(".dist-info/WHEEL") for name in names) else "no WHEEL"
        except (OSError, UntrustedError, MealkitError) as error:
            fault = str(error)
        if fault:
            message, hint = f"{path.name} is not a wheel: {fault}", "build or get it again"
            where = kit.where(("runtime", "wheels"))
            yield problem("KIT_INVALID", message, where=where, hint=hint)


def _unfit(kit: OpenedKit) -> Iterator[Problem]:
    runtime, hardware = kit.parts.kit.runtime, kit.parts.kit.hardware
    glibc = runtime.base.glibc if runtime.base.source == "image" else _NEWEST_GLIBC
    named = _by_name(kit.local_wheels)
    for architecture in hardware.architectures:
        tags = frozenset(wheel_tags(PythonTarget(runtime.python, architecture, glibc)))
        for name, wheels in named.items():
            if any(tags & parse_wheel_filename(path.name)[3] for path in wheels):
                continue
            files = ", ".join(path.name for path in wheels)
            message = (
                f"no wheel of {name} is for Python {runtime.python} on {architecture}: {files}"
            )
            hint = f"build or get one for it, or set another runtime.python than {runtime.python}"
            where = kit.where(("runtime", "wheels"))
            yield problem("PACKAGES_SOURCE_ONLY", message, where=where, hint=hint)


def _by_name(wheels: tuple[Path, ...]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in wheels:
        try:
            name = parse_wheel_filename(path.name)[0]
        except InvalidWheelFilename:
            continue
        found.setdefault(name, []).append(path)
    return found

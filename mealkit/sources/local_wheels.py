"""Wheel files that a kit brings itself, for packages that no index has as a wheel.

Raises BuildError for a file whose name does not state Python and platform, and for anything that is
not a regular file.
"""

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from mealkit.digest import Digest, digest_of_file
from mealkit.errors import failure
from mealkit.names import line_fault
from mealkit.untrusted import shown

EMPTY_VERSION = "99999"
"""The version of a wheel without content, newer than that of any real one."""


@dataclass(frozen=True, slots=True)
class LocalWheel:
    """A wheel file of the kit."""

    path: Path
    name: str
    version: str
    digest: Digest


def local_wheels(paths: Sequence[Path]) -> list[LocalWheel]:
    """Return the wheels among files and folders, hashed, sorted by file name.

    Raises:
        KitError: a path is missing (``KIT_FILE_MISSING``).
        BuildError: a wheel's name is not valid, or it cannot be read (``WHEEL_INVALID``).
    """
    files: dict[str, Path] = {}
    for path in paths:
        if not path.exists():
            raise failure("KIT_FILE_MISSING", f"there is no {path.name}", where=str(path))
        found = path.glob("*.whl") if path.is_dir() else [path]
        files.update({file.name: file.resolve() for file in found})
    return [_local_wheel(files[name]) for name in sorted(files)]


def _local_wheel(path: Path) -> LocalWheel:
    message = f"{shown(path.name)} is not the name of a wheel"
    if not path.name.isascii() or line_fault(path.name) is not None:
        raise failure("WHEEL_INVALID", message, where=str(path))
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise failure("WHEEL_INVALID", message, where=str(path)) from error
    try:
        digest = digest_of_file(path)
    except OSError as error:
        message = f"{path.name} cannot be read: {error.strerror}"
        raise failure("WHEEL_INVALID", message, where=str(path)) from error
    return LocalWheel(path, name, str(version), digest)


@contextmanager
def links_to(local: Sequence[LocalWheel], empty: Sequence[str] = ()) -> Iterator[Path | None]:
    """Create a folder for uv that contains only the kit's own wheels.

    For each name in ``empty``, it also contains a wheel without content and dependencies.
    """
    if not local and not empty:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mealkit-wheels-") as folder:
        for wheel in local:
            (Path(folder) / wheel.path.name).symlink_to(wheel.path)
        for name in empty:
            _write_empty(Path(folder), name)
        yield Path(folder)


def _write_empty(folder: Path, name: str) -> None:
    stem = f"{name.replace('-', '_')}-{EMPTY_VERSION}"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {EMPTY_VERSION}\n"
        wheel.writestr(f"{stem}.dist-info/METADATA", about)
        wheel.writestr(f"{stem}.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def pins_of(local: Sequence[LocalWheel]) -> tuple[str, ...]:
    """Pin packages to the kit's own wheels, if they have only one version."""
    versions: dict[str, set[str]] = {}
    for wheel in local:
        versions.setdefault(wheel.name, set()).add(wheel.version)
    return tuple(
        f"{name}=={next(iter(found))}"
        for name, found in sorted(versions.items())
        if len(found) == 1
    )

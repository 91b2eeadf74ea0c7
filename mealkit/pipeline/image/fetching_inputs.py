"""Fetches the inputs that a lock pins, for the layers that a build has to create."""

from collections.abc import Sequence
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.errors import failure
from mealkit.lock.kit_parts import PythonTarget
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.fetching_data import fetch_datasets
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.kit.supplies import downloader, open_supplies
from mealkit.plan.layers import Bytecode, DebianTree, InputFile, LayerPlan, WheelTree
from mealkit.progress import Progress
from mealkit.recipe.glibc import glibc_of
from mealkit.recipe.lock import Lock, LockedWheel
from mealkit.recipe.locked_base import LockedDeb
from mealkit.recipe.locked_file import LockedFile


def fetch_inputs(
    kit: OpenedKit,
    lock: Lock,
    layers: Sequence[LayerPlan],
    home: Home,
    progress: Progress,
    compiler: Lock | None = None,
) -> dict[Digest, Path]:
    """Return a verified file for every input of these layers; fetch those that are missing.

    ``compiler`` is the lock whose Python compiles the modules, by default the same.

    Raises:
        SourceError, StoreError: an input cannot be fetched, or the disk has no space for it.
    """
    wanted = inputs_of(layers)
    files = [file for file in lock.model.files if file.sha256 in wanted]
    data = [
        file
        for dataset in lock.datasets_in_image.values()
        for file in dataset.files
        if file.sha256 in wanted
    ]
    wheels = [wheel for wheel in lock.wheels if wheel.sha256 in wanted]
    bases = [item.runtime.base for item in (lock, compiler or lock)]
    packages = {
        deb.sha256: deb for base in bases if base.source == "debian" for deb in base.packages
    }
    debs = [deb for digest, deb in packages.items() if digest in wanted]
    inputs: dict[Digest, Path] = {}
    if wheels:
        inputs |= fetch_locked_wheels(lock, wheels, home, progress, kit.local_wheels)
    if debs:
        inputs |= fetch_locked_debs(debs, home, progress)
    if files:
        inputs |= fetch_weight_files(kit, files, home, progress)
    inputs |= _case_files(kit, [file for file in lock.case_files if file.sha256 in wanted], home)
    if data:
        inputs |= fetch_datasets(kit, data, home, progress)
    return inputs


def inputs_of(layers: Sequence[LayerPlan]) -> set[Digest]:
    """Return the digests of the inputs that layers are made of."""
    found: set[Digest] = set()
    for layer in layers:
        for content in layer.contents:
            match content:
                case InputFile():
                    found.add(content.digest)
                case WheelTree():
                    found.update(digest for _, digest in content.wheels)
                case DebianTree() | Bytecode():
                    found.update(digest for _, digest in content.debs)
                case _:
                    pass
    return found


def fetch_locked_wheels(
    lock: Lock,
    wheels: Sequence[LockedWheel],
    home: Home,
    progress: Progress,
    local: Sequence[Path] = (),
) -> dict[Digest, Path]:
    """Return the verified file of every wheel; ``local`` are the wheels that the kit brings."""
    from mealkit.sources.locked_wheels import fetch_wheels

    target = PythonTarget(
        lock.runtime.python, lock.runtime.architecture, glibc_of(lock.runtime.base)
    )
    task = progress.task("Python wheels", sum(wheel.size_bytes for wheel in wheels))
    with downloader(home, task) as fetcher:
        found = fetch_wheels(wheels, fetcher, target, wheels=local)
    task.done(f"{len(wheels)} wheels")
    return found


def fetch_locked_debs(
    debs: Sequence[LockedDeb], home: Home, progress: Progress
) -> dict[Digest, Path]:
    """Return the verified file of every Debian package."""
    from mealkit.assembly.deb_archive import require_deb
    from mealkit.sources.debian.deb import fetch_deb
    from mealkit.sources.debian.mirrors import debian_mirrors

    task = progress.task("Debian packages", sum(deb.size_bytes for deb in debs))
    found: dict[Digest, Path] = {}
    with downloader(home) as fetcher:
        for deb in debs:
            cached = fetcher.cache.path(deb.sha256)
            # Mirrors are looked up only if a package is missing: a build may have no mirror.
            found[deb.sha256] = cached or fetch_deb(deb, debian_mirrors(), fetcher)
            # The digest alone could match any verified file, such as a wheel.
            require_deb(found[deb.sha256], deb)
            task.advance(deb.size_bytes)
    task.done(f"{len(debs)} packages")
    return found


def fetch_weight_files(
    kit: OpenedKit, files: Sequence[LockedFile], home: Home, progress: Progress
) -> dict[Digest, Path]:
    """Return the verified files of a kit's weights, from the places that the kit names.

    Raises:
        SourceError: every place of a file failed.
        StoreError: ``DISK_FULL`` or ``DISK_DENIED``.
    """
    from mealkit.sources.retrieval import fetch_weights

    task = progress.task("weights", sum(file.size_bytes for file in files))
    whole = kit.parts.kit
    with open_supplies(whole, kit.folder, kit.bounds, home, task) as supplies:
        found = fetch_weights(kit.folder, whole.model, files, supplies, progress.notice)
    task.done(f"{len(files)} files")
    return found


def _case_files(kit: OpenedKit, files: Sequence[LockedFile], home: Home) -> dict[Digest, Path]:
    """Copy the files of cases to the verified files: the kit's folder may change meanwhile."""
    from mealkit.sources.file_cache import FileCache

    cache = FileCache(home.files)
    found: dict[Digest, Path] = {}
    for file in files:

        def require(digest: Digest, file: LockedFile = file) -> None:
            if digest != file.sha256:
                message = "the file changed while it was read"
                raise failure("SOURCE_CHANGED", message, where=file.path)

        with kit.bounds.opened(kit.folder / file.path) as held:
            found |= [cache.add_chunks(file_chunks(held), file.size_bytes, require)]
    return found

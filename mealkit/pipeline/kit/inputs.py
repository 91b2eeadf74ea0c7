"""Picks the adapters that resolve a kit's inputs, and those that fetch what a lock pins."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.digest import Digest
from mealkit.kit.files import source_folder
from mealkit.lock.resolve import PythonTarget, glibc_of
from mealkit.oci.tar import weight_footer, weight_header
from mealkit.paths import MODELS
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.bases import base_image, base_name
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.plan.layers import Bytecode, DebianTree, InputFile, LayerPlan, WheelTree
from mealkit.progress import SILENT_TASK, Progress, Task
from mealkit.recipe.kit import Base, Kit
from mealkit.recipe.lock import (
    Lock,
    LockedBase,
    LockedDeb,
    LockedDebianBase,
    LockedFile,
    LockedImageBase,
    LockedWheel,
    ModelShape,
)
from mealkit.stores.digests import DigestCache, HashJob

if TYPE_CHECKING:
    from mealkit.sources.download import Downloader
    from mealkit.sources.source import Supplies


class KitInputs:
    """Resolves a kit's inputs for the lock, through the adapters that its sources name."""

    def __init__(self, kit: OpenedKit, home: Home, progress: Progress) -> None:
        self._kit = kit
        self._home = home
        self._progress = progress

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        """Resolve every file of the model; headers and small files are all that is downloaded."""
        from mealkit.sources.weights import resolve_weights

        self._progress.phase("resolving the weights")
        task = self._progress.task("weights", None)
        with _supplies(self._kit, self._home, task) as supplies:
            files, shape, notices = resolve_weights(self._kit.folder, kit.model, supplies)
        task.done(f"{len(files)} files")
        for notice in notices:
            self._progress.notice(notice)
        return files, shape

    def packages(
        self, requirements: Sequence[str], excludes: Sequence[str], target: PythonTarget
    ) -> tuple[LockedWheel, ...]:
        """Resolve Python packages to wheels."""
        from mealkit.sources.python_packages import resolve_packages

        self._progress.phase(f"resolving packages: {', '.join(requirements)}")
        return resolve_packages(
            requirements, target, excludes=excludes, wheels=self._kit.local_wheels
        )

    def base(self, base: Base, python: str, architecture: str) -> LockedBase:
        """Resolve the base to the digests of its packages, or of its manifest."""
        if base.source == "image":
            self._progress.phase(f"resolving the base image {base.reference}")
            with base_image(base, self._kit.folder, self._kit.bounds, architecture) as image:
                return LockedImageBase(
                    name=base_name(base),
                    digest=image.digest,
                    size_bytes=sum(layer.blob.size_bytes for layer in image.layers),
                    glibc=base.glibc,
                )
        from mealkit.sources.debian.known_packages import DebianMemory
        from mealkit.sources.debian.mirrors import debian_mirrors
        from mealkit.sources.debian.resolver import resolve_base

        self._progress.phase(f"resolving Debian {base.suite} with Python {python}")
        packages = resolve_base(
            base.suite,
            python,
            architecture,
            more=base.packages,
            allow_unsigned=base.allow_unsigned,
            mirrors=debian_mirrors(),
            cache=self._home.indexes,
            memory=DebianMemory(self._home.debian),
        )
        return LockedDebianBase(suite=base.suite, packages=packages)


def fetch_inputs(
    kit: OpenedKit, lock: Lock, layers: Sequence[LayerPlan], home: Home, progress: Progress
) -> dict[Digest, Path]:
    """Return a verified file for every input that these layers need, fetching what is not here.

    Raises:
        SourceError, StoreError: an input cannot be had, or there is no space for it.
    """
    wanted = _wanted(layers)
    files = [file for file in lock.model.files if file.sha256 in wanted]
    wheels = [
        wheel for wheel in (*lock.engine.packages, *lock.gateway.packages) if wheel.sha256 in wanted
    ]
    base = lock.runtime.base
    debs = [deb for deb in base.packages if deb.sha256 in wanted] if base.source == "debian" else []
    inputs: dict[Digest, Path] = {}
    if wheels:
        inputs |= _fetch_wheels(kit, lock, wheels, home, progress)
    if debs:
        inputs |= _fetch_debs(debs, home, progress)
    if files:
        inputs |= _fetch_weights(kit, files, home, progress)
    return inputs


@contextmanager
def downloader(home: Home, task: Task = SILENT_TASK) -> Iterator["Downloader"]:
    """Open a downloader into the verified files of a home."""
    from mealkit.sources.download import Downloader
    from mealkit.sources.file_cache import FileCache
    from mealkit.web.http_client import open_client

    with open_client() as client:
        yield Downloader(FileCache(home.files), client, task=task)


@contextmanager
def _supplies(kit: OpenedKit, home: Home, task: Task) -> Iterator["Supplies"]:
    """Open what the adapters of weights are handed."""
    from mealkit.sources.source import Supplies

    digests = DigestCache(home.store / "digests")

    def hash_files(paths: Sequence[Path]) -> list[Digest]:
        # The digest of the layer that a file will make is computed beside the file's own: both
        # are needed, and two threads hash it twice in the time of one.
        jobs = [_hash_job(path, _image_path(kit, path)) for path in paths]
        return [found.file for found in digests.digest_files(jobs)]

    with downloader(home, task) as fetcher:
        lifted = frozenset(kit.parts.kit.allow_secrets)
        yield Supplies(fetcher, hash_files, kit.bounds.roots, lifted)


def _image_path(kit: OpenedKit, path: Path) -> str:
    """Return where a file of a folder source goes in the image."""
    for entry in kit.parts.kit.model.weights:
        if entry.source == "folder":
            folder = source_folder(kit.folder, entry.path).resolve()
            if path.resolve().is_relative_to(folder):
                name = path.resolve().relative_to(folder).as_posix()
                return f"{MODELS}/{entry.into}/{name}" if entry.into else f"{MODELS}/{name}"
    return f"{MODELS}/{path.name}"


def _hash_job(path: Path, image_path: str) -> HashJob:
    size_bytes = path.stat().st_size
    return HashJob(path, weight_header(image_path, size_bytes), weight_footer(size_bytes))


def _wanted(layers: Sequence[LayerPlan]) -> set[Digest]:
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


def _fetch_wheels(
    kit: OpenedKit, lock: Lock, wheels: Sequence[LockedWheel], home: Home, progress: Progress
) -> dict[Digest, Path]:
    from mealkit.sources.locked_wheels import fetch_wheels

    target = PythonTarget(
        lock.runtime.python, lock.runtime.architecture, glibc_of(lock.runtime.base)
    )
    task = progress.task("Python wheels", sum(wheel.size_bytes for wheel in wheels))
    with downloader(home, task) as fetcher:
        found = fetch_wheels(wheels, fetcher, target, wheels=kit.local_wheels)
    task.done(f"{len(wheels)} wheels")
    return found


def _fetch_debs(debs: Sequence[LockedDeb], home: Home, progress: Progress) -> dict[Digest, Path]:
    from mealkit.assembly.deb_archive import require_deb
    from mealkit.sources.debian.deb import fetch_deb
    from mealkit.sources.debian.mirrors import debian_mirrors

    task = progress.task("Debian packages", sum(deb.size_bytes for deb in debs))
    found: dict[Digest, Path] = {}
    with downloader(home) as fetcher:
        for deb in debs:
            cached = fetcher.cache.path(deb.sha256)
            # Mirrors are looked for only once a package is missing: a build may have none.
            found[deb.sha256] = cached or fetch_deb(deb, debian_mirrors(), fetcher)
            # The digest alone may be that of any verified file, such as a wheel.
            require_deb(found[deb.sha256], deb)
            task.advance(deb.size_bytes)
    task.done(f"{len(debs)} packages")
    return found


def _fetch_weights(
    kit: OpenedKit, files: Sequence[LockedFile], home: Home, progress: Progress
) -> dict[Digest, Path]:
    from mealkit.sources.retrieval import fetch_weights

    task = progress.task("weights", sum(file.size_bytes for file in files))
    with _supplies(kit, home, task) as supplies:
        found = fetch_weights(kit.folder, kit.parts.kit.model, files, supplies, progress.notice)
    task.done(f"{len(files)} files")
    return found

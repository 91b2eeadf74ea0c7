"""Prepares what the source adapters need: a downloader, and digests of a kit's files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mealkit.digest import Digest
from mealkit.engines.registry import takes_any_data
from mealkit.kit.bounds import Bounds
from mealkit.kit.files import source_folder
from mealkit.oci.tar import weight_footer, weight_header
from mealkit.paths import MODELS
from mealkit.pipeline.home import Home
from mealkit.progress import SILENT_TASK, Task
from mealkit.recipe.kit import Kit
from mealkit.recipe.weight_places import Place, Weights
from mealkit.stores.digests import DigestCache, HashJob

if TYPE_CHECKING:
    from mealkit.sources.download import Downloader
    from mealkit.sources.source import Supplies


@contextmanager
def downloader(home: Home, task: Task = SILENT_TASK) -> Iterator["Downloader"]:
    """Open a downloader into the verified files of a home."""
    from mealkit.sources.download import Downloader
    from mealkit.sources.file_cache import FileCache
    from mealkit.web.http_client import open_client

    with open_client() as client:
        yield Downloader(FileCache(home.files), client, task=task)


@contextmanager
def open_supplies(
    kit: Kit, folder: Path, bounds: Bounds, home: Home, task: Task
) -> Iterator["Supplies"]:
    """Open the supplies for the adapters of weights of a kit in a folder."""

    def job(path: Path) -> HashJob:
        # The digest of the file's layer is computed together with the file's own. Both are needed,
        # and two threads hash twice in the time of one.
        return _hash_job(path, _image_path(kit, folder, path))

    with _supplies(kit.model.weights, bounds, home, task, job) as supplies:
        lifted = frozenset(kit.allow_secrets)
        any_data = takes_any_data(kit.runtime.engine)
        yield replace(supplies, allow_secrets=lifted, any_data=any_data)


@contextmanager
def open_dataset_supplies(kit: Kit, bounds: Bounds, home: Home, task: Task) -> Iterator["Supplies"]:
    """Open the supplies for the adapters of data sets, which may have any format."""

    def job(path: Path) -> HashJob:
        return HashJob(path, b"", b"")

    with _supplies(tuple(kit.datasets.values()), bounds, home, task, job) as supplies:
        lifted = frozenset(kit.allow_secrets)
        yield replace(supplies, allow_secrets=lifted, any_data=True, field="datasets")


@contextmanager
def _supplies(
    entries: Sequence[Weights],
    bounds: Bounds,
    home: Home,
    task: Task,
    job: Callable[[Path], HashJob],
) -> Iterator["Supplies"]:
    from mealkit.sources.source import Supplies

    digests = DigestCache(home.store / "digests")

    def hash_files(paths: Sequence[Path]) -> list[Digest]:
        jobs = [job(path) for path in paths]
        return [found.file for found in digests.digest_files(jobs, task.advance)]

    with downloader(home, task) as fetcher, ExitStack() as stack:
        artifacts = None
        if any(place.source == "oci" for item in entries for place in _places(item)):
            from mealkit.stores.registry.artifact_reader import RegistryArtifacts

            artifacts = stack.enter_context(closing(RegistryArtifacts()))
        yield Supplies(fetcher, hash_files, bounds.roots, artifacts=artifacts)


def _places(entry: Weights) -> tuple[Place, ...]:
    return (entry, *entry.mirrors)


def _image_path(kit: Kit, kit_folder: Path, path: Path) -> str:
    """Return where a file of a folder source goes in the image."""
    for entry in kit.model.weights:
        if entry.source == "folder":
            folder = source_folder(kit_folder, entry.path).resolve()
            if path.resolve().is_relative_to(folder):
                name = path.resolve().relative_to(folder).as_posix()
                return f"{MODELS}/{entry.into}/{name}" if entry.into else f"{MODELS}/{name}"
    return f"{MODELS}/{path.name}"


def _hash_job(path: Path, image_path: str) -> HashJob:
    size_bytes = path.stat().st_size
    return HashJob(path, weight_header(image_path, size_bytes), weight_footer(size_bytes))

"""Prepares what the source adapters need: a downloader, and digests of a kit's files."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
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
from mealkit.stores.digests import DigestCache, HashJob

if TYPE_CHECKING:
    from mealkit.oci.descriptor import Descriptor
    from mealkit.oci.reference import Reference
    from mealkit.sources.download import Downloader
    from mealkit.sources.source import Supplies
    from mealkit.stores.registry.blob import RegistryBlob
    from mealkit.stores.registry.reaching import Registries


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
    from mealkit.sources.source import Supplies

    digests = DigestCache(home.store / "digests")

    def hash_files(paths: Sequence[Path]) -> list[Digest]:
        # The digest of the file's layer is computed together with the file's own. Both are needed,
        # and two threads hash twice in the time of one.
        jobs = [_hash_job(path, _image_path(kit, folder, path)) for path in paths]
        return [found.file for found in digests.digest_files(jobs)]

    with downloader(home, task) as fetcher, closing(RegistryArtifacts()) as artifacts:
        lifted = frozenset(kit.allow_secrets)
        any_data = takes_any_data(kit.runtime.engine)
        yield Supplies(fetcher, hash_files, bounds.roots, lifted, any_data, artifacts)


class RegistryArtifacts:
    """Artifacts in registries, which are opened for the first one; safe between threads."""

    def __init__(self) -> None:
        self._registries: Registries | None = None
        self._lock = threading.Lock()

    def manifest(self, reference: "Reference") -> tuple[bytes, str]:
        """Return the bytes of a manifest or index, checked against their digest, and its type."""
        from mealkit.stores.registry.manifests import get_manifest

        clients = self._opened().sources(reference)
        name = reference.digest or reference.tag or "latest"
        found = get_manifest(clients, reference, name)
        return found.raw, found.media_type

    def blob(self, reference: "Reference", item: "Descriptor") -> "RegistryBlob":
        """Return a blob of the reference's repository; a complete read of it is verified."""
        from mealkit.stores.registry.blob import RegistryBlob

        clients = self._opened().sources(reference)
        return RegistryBlob(item.digest, item.size_bytes, reference.repository, clients)

    def close(self) -> None:
        """Close the connections."""
        if self._registries is not None:
            self._registries.close()

    def _opened(self) -> "Registries":
        from mealkit.stores.registry.reaching import Registries

        with self._lock:
            if self._registries is None:
                self._registries = Registries.from_environment()
            return self._registries


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

"""Deletes everything in mealkit's folder that no image needs."""

import contextlib
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from mealkit.assembly.lean import lean_image
from mealkit.containers.container import LABEL_IMAGE
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.image import Image
from mealkit.oci.index import ImageIndex
from mealkit.pipeline.deployment_files import images_in_use
from mealkit.pipeline.home import REBUILDS, Home
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.machine.clients import kits_of_home
from mealkit.progress import Progress
from mealkit.sources.file_cache import FileCache
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.unfinished import UnfinishedUploads
from mealkit.stores.upkeep import prune as prune_store
from mealkit.stores.upkeep import unneeded_bytes


def prune(*, damaged: bool, nameless: bool, home: Home, progress: Progress) -> int:
    """Delete blobs, inputs, indexes and unpacked roots that no image needs; return bytes freed.

    ``nameless`` also deletes images without a name, unless a deployment runs or keeps them.
    ``damaged`` reads every blob, and deletes
    those that do not match their digest, so that the next build restores them.

    Raises:
        StoreError: another process has locked the store (``STORE_BUSY``).
        DeploymentError: the file of a deployment cannot be read (``DEPLOYMENT_INVALID``).
    """
    store = LocalStore(home.store)
    task = progress.task("pruning", None)
    in_use = used_images(home)
    done = prune_store(store, task.advance, nameless=nameless, damaged=damaged, in_use=in_use)
    freed = done.freed_bytes
    if home.root.is_dir() and any(home.root.iterdir()):
        with store.own():
            inputs, roots = _needed(store)
            freed += FileCache(home.files).prune(inputs)
            freed += UnfinishedUploads(home.uploads).prune()
            freed += sum(_delete(path) for path in _unneeded(home, roots))
    task.done()
    return freed


def used_images(home: Home) -> set[str]:
    """Return the digests of images that deployments or running kits use.

    Raises:
        DeploymentError: ``DEPLOYMENT_INVALID``: what a deployment needs is not known.
    """
    running = (item.labels.get(LABEL_IMAGE) for item in kits_of_home(home) if item.exit is None)
    return {*images_in_use(home), *filter(None, running)}


def unneeded_home_bytes(home: Home, gone: Collection[Digest]) -> int:
    """Return what `prune` would free if the images in ``gone`` were removed, as far as is known."""
    store = LocalStore(home.store)
    if not home.root.is_dir():
        return 0
    freed = unneeded_bytes(store, nameless=bool(gone), in_use=used_images(home))
    inputs, roots = _needed(store, gone)
    files = FileCache(home.files).sizes()
    freed += sum(size for digest, size in files.items() if digest not in inputs)
    return freed + sum(_size(path) for path in _unneeded(home, roots))


def _unneeded(home: Home, roots: set[str]) -> Iterator[Path]:
    yield from home.indexes.glob("*")
    yield from home.case_files.glob("*")
    yield from home.root.glob(f"{REBUILDS}*")  # of killed commands: those that run use the store
    if not _sandbox_runs(home):
        yield from (path for path in home.roots.glob("*") if path.name not in roots)


def _needed(store: LocalStore, gone: Collection[Digest] = ()) -> tuple[set[Digest], set[str]]:
    """Return the files that images need beside their layers, and the digests of their roots."""
    inputs: set[Digest] = set()
    roots: set[str] = set()
    for stored in store.images():
        if stored.digest in gone:
            continue
        with contextlib.suppress(MealkitError):
            content = store.content(str(stored.digest))
            for image in content.images if isinstance(content, ImageIndex) else (content,):
                inputs |= _data(image)
                roots |= {image.digest.hex, lean_image(image).digest.hex}
                inputs |= {
                    layer.blob.file_digest
                    for layer in image.layers
                    if isinstance(layer.blob, VirtualBlob)
                }
    return inputs, roots


def _data(image: Image) -> set[Digest]:
    """Return the data that an image's claims are measured on, and that is not in its layers."""
    try:
        lock = lock_of(image)
    except MealkitError:  # it is no kit's, such as a base image
        return set()
    travels = lock.datasets_in_image
    return {
        file.sha256
        for name, dataset in lock.datasets.items()
        if name not in travels
        for file in dataset.files
    }


def _sandbox_runs(home: Home) -> bool:
    from mealkit.containers.sandbox import Sandbox

    return any(container.exit is None for container in Sandbox(home.runs).list())


def _delete(path: Path) -> int:
    """Delete a file or a folder; return the freed bytes."""
    size = _size(path)
    if path.is_dir() and not path.is_symlink():
        for folder in [path, *(item for item in path.rglob("*") if item.is_dir())]:
            if not folder.is_symlink():
                folder.chmod(0o700)
        shutil.rmtree(path)
        return size
    path.unlink(missing_ok=True)
    return size


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(item.lstat().st_size for item in path.rglob("*") if not item.is_dir())
    return path.lstat().st_size if path.exists() else 0

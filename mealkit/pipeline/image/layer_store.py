"""Keeps a build's layers in the local store: weights as virtual blobs over verified files."""

from collections.abc import Iterable, Sequence

from mealkit.assembly.assemble import WeightFile
from mealkit.containers.interpreter import compile_modules
from mealkit.errors import MealkitError, failure, failures
from mealkit.files.whole import require_space
from mealkit.oci.image import Blob, Layer
from mealkit.oci.tar import Bytes
from mealkit.progress import Advance
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.digests import HashedFile, HashJob
from mealkit.stores.local import LocalStore


class LocalLayerStore:
    """The layers in a local store; use it within ``store.use()``."""

    compile_modules = staticmethod(compile_modules)

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        self.pieces = store.pieces

    def get(self, key: str) -> Layer | None:
        """Return the layer that was made for a key, if its blob is still usable."""
        return self._store.layers.get(key)

    def put(self, key: str, layer: Layer) -> None:
        """Keep a layer for a key."""
        self._store.layers.put(key, layer)

    def write(self, chunks: Iterable[Bytes], size_bytes: int, advance: Advance) -> Blob:
        """Write a blob of at least ``size_bytes`` into the store.

        Raises:
            StoreError: the disk has no space for it (``DISK_FULL``); nothing was written.
        """
        require_space(self._store.root, size_bytes)
        return self._store.add(chunks, advance)

    def virtual(self, files: Sequence[WeightFile], advance: Advance) -> list[Blob]:
        """Verify files, hash the layers with them, and store how to build these layers.

        Raises:
            SourceError: ``SOURCE_DIGEST`` for every file that is not the expected one.
        """
        jobs = [HashJob(file.path, file.head, file.tail) for file in files]
        hashed = self._store.digests.digest_files(jobs, advance)
        wrong = [
            _mismatch(file, found)
            for file, found in zip(files, hashed, strict=True)
            if found.file != file.expected
        ]
        if wrong:
            raise failures([error.problems[0] for error in wrong])
        blobs: list[Blob] = []
        for file, found in zip(files, hashed, strict=True):
            blob = VirtualBlob(found.layer, file.head, file.path, found.key, file.tail, found.file)
            self._store.recipes.write(blob)
            blobs.append(blob)
        return blobs


def _mismatch(file: WeightFile, found: HashedFile) -> MealkitError:
    return failure(
        "SOURCE_DIGEST", f"expected {file.expected}, found {found.file}", where=str(file.path)
    )

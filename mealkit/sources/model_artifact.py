"""Weights in a registry: a CNCF ModelPack, a ModelKit of KitOps, or a model of Docker.

The manifest has the digests of layers that are one file, so a lock needs only their headers. A
layer that is an archive is fetched, and deleted again when the place is closed.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.descriptor import INDEX_TYPES, Descriptor
from mealkit.oci.image import Blob
from mealkit.oci.manifest import Manifest
from mealkit.oci.model_artifacts import ModelLayer, ModelLayers, model_layers
from mealkit.oci.reference import Reference
from mealkit.progress import SILENT_TASK
from mealkit.recipe.origins import OciOrigin
from mealkit.recipe.weight_places import OciPlace
from mealkit.sources.artifact_layers import extracted, fetch_layer
from mealkit.sources.ranges import HEAD_BYTES, FileRanges, RangeReader
from mealkit.sources.source import (
    Artifacts,
    PinnedFile,
    Supplies,
    is_pattern,
    matches,
    require_digest,
    select,
)
from mealkit.untrusted import UntrustedError, shown

_MAX_CONFIG_BYTES = 4 * 1024 * 1024

# What another place of the same file may solve: a registry's problems as those of a source.
_AS_SOURCE = {
    "REGISTRY_UNREACHABLE": "SOURCE_UNREACHABLE",
    "REGISTRY_DENIED": "SOURCE_DENIED",
    "REGISTRY_REALM": "SOURCE_DENIED",
    "REGISTRY_DIGEST": "SOURCE_DIGEST",
    "REGISTRY_INSECURE": "SOURCE_INSECURE",
    "REGISTRY_REFUSED": "SOURCE_ANSWER",
    "IMAGE_INVALID": "SOURCE_ANSWER",
    "IMAGE_NOT_FOUND": "SOURCE_NOT_FOUND",
    "BLOB_MISSING": "SOURCE_NOT_FOUND",
}


class ArtifactReader:
    """An artifact; ``digest`` is the one to which a lock resolved its tag.

    ``names`` are the files that will be fetched: an archive is read once for all of them.
    """

    def __init__(
        self,
        place: OciPlace,
        supplies: Supplies,
        digest: Digest | None = None,
        names: Collection[str] = (),
    ) -> None:
        self._reference = _at(Reference.parse(place.reference), digest)
        self._supplies = supplies
        self._where = place.reference
        self._lock = threading.Lock()
        self._read: _Model | None = None
        self._names = tuple(names)
        self._unpacked: dict[str, tuple[Digest, Path]] = {}
        self._archives: set[Digest] = set()

    def pin(self, patterns: Sequence[str], asserted: Mapping[str, Digest]) -> list[PinnedFile]:
        """Use the digests in the manifest; fetch archives if a name is not that of a layer."""
        with self._problems():
            model = self._model()
            direct = {layer.name: layer for layer in model.found.layers if layer.is_the_file}
            pinned = {
                name: self._pinned(name, layer, asserted.get(name))
                for name, layer in direct.items()
                if name is not None and matches(name, patterns)
            }
            if any(is_pattern(item) or item not in direct for item in patterns):
                pinned |= self._pinned_in_archives(patterns, asserted, pinned)
            self._require_found(patterns, pinned, model)
            return [pinned[name] for name in select(list(pinned), patterns, self._where)]

    def origin(self, name: str) -> OciOrigin:
        """Return repository, digest and file."""
        with self._problems():
            digest = self._model().digest
        return OciOrigin(repository=self._reference.repository, digest=digest, file=name)

    def fetch(self, name: str, expected: Digest, size_bytes: int) -> Path:
        """Fetch a layer that is the file, or extract the file from the archive that has it."""
        with self._problems():
            for layer in self._model().found.layers:
                if layer.is_the_file and layer.name == name:
                    require_digest(name, expected, layer.descriptor.digest, self._where)
                    return self._fetched(layer, is_counted=True)
            digest, path = self._from_archive(name)
            require_digest(name, expected, digest, self._where)
            self._supplies.task.advance(size_bytes)
            return path

    def notices(self) -> list[Problem]:
        """Return a problem if the reference is a tag, with the digest that it now means."""
        if Reference.parse(self._where).digest is not None:
            return []
        with self._problems():
            digest = self._model().digest
        return [
            problem(
                "SOURCE_UNPINNED",
                f"the tag {self._reference.tag} is {digest}",
                hint=f"write it into kit.yaml: reference: {self._where}@{digest}",
                where=self._where,
            )
        ]

    def close(self) -> None:
        """Delete the archives that were fetched."""
        for digest in self._archives:
            self._supplies.downloader.cache.drop(digest)

    def _pinned(self, name: str, layer: ModelLayer, expected: Digest | None) -> PinnedFile:
        item = layer.descriptor
        require_digest(name, expected, item.digest, self._where)
        cached = self._supplies.downloader.cache.path(item.digest)
        ranges: RangeReader = FileRanges(cached) if cached else _BlobRanges(self, self._blob(item))
        return PinnedFile(name, item.digest, item.size_bytes, ranges)

    def _from_archive(self, name: str) -> tuple[Digest, Path]:
        with self._lock:
            if name not in self._unpacked:
                self._unpacked |= self._extracted([name, *self._names], {})
        if name not in self._unpacked:
            raise failure("SOURCE_NOT_FOUND", f"there is no {name}", where=self._where)
        return self._unpacked[name]

    def _pinned_in_archives(
        self,
        patterns: Sequence[str],
        asserted: Mapping[str, Digest],
        known: Mapping[str, PinnedFile],
    ) -> dict[str, PinnedFile]:
        with self._lock:
            files = self._extracted(patterns, asserted)
        twice = sorted(set(files) & set(known))
        if twice:
            raise UntrustedError(f"it has the file {shown(twice[0])} twice")
        return {
            name: PinnedFile(name, digest, path.stat().st_size, FileRanges(path))
            for name, (digest, path) in files.items()
        }

    def _extracted(
        self, patterns: Sequence[str], asserted: Mapping[str, Digest]
    ) -> dict[str, tuple[Digest, Path]]:
        """Extract the matching files of all archives; the caller has the lock."""
        cache = self._supplies.downloader.cache
        found: dict[str, tuple[Digest, Path]] = {}
        for layer in self._model_unlocked().found.layers:
            if layer.is_the_file or not _may_match(layer, patterns):
                continue
            if cache.path(layer.descriptor.digest) is None:
                self._archives.add(layer.descriptor.digest)
            path = self._fetched(layer, is_counted=False)
            files = extracted(
                layer,
                path,
                lambda name: matches(name, patterns),
                cache,
                lambda name, digest: require_digest(name, asserted.get(name), digest, self._where),
            )
            twice = sorted(set(files) & set(found))
            if twice:
                raise UntrustedError(f"it has the file {shown(twice[0])} twice")
            found |= files
        return found

    def _fetched(self, layer: ModelLayer, *, is_counted: bool) -> Path:
        task = self._supplies.task if is_counted else SILENT_TASK
        cache = self._supplies.downloader.cache
        return fetch_layer(self._blob(layer.descriptor), cache, task.advance)

    def _require_found(
        self, patterns: Sequence[str], pinned: Mapping[str, PinnedFile], model: "_Model"
    ) -> None:
        missing = [item for item in patterns if not any(matches(name, [item]) for name in pinned)]
        if missing and model.found.others:
            raise failure(
                "SOURCE_NOT_FOUND",
                f"there is no {missing[0]} in the layers that mealkit can read; others have the"
                f" types {', '.join(map(shown, model.found.others[:3]))}",
                where=self._where,
            )

    def _model(self) -> "_Model":
        if self._read is not None:
            return self._read
        with self._lock:
            return self._model_unlocked()

    def _model_unlocked(self) -> "_Model":
        if self._read is None:
            self._read = self._ask()
            # From now on the tag cannot move.
            self._reference = _at(self._reference, self._read.digest)
        return self._read

    def _ask(self) -> "_Model":
        raw, media_type = self._artifacts.manifest(self._reference)
        if media_type in INDEX_TYPES:
            raise UntrustedError("it is an index; name one of its artifacts by its digest")
        manifest = Manifest.read(raw, media_type)
        found = model_layers(manifest, lambda: self._config(manifest.config))
        return _Model(Digest.of(raw), found)

    def _config(self, item: Descriptor) -> bytes:
        if item.size_bytes > _MAX_CONFIG_BYTES:
            raise UntrustedError(f"its config has {item.size_bytes} bytes")
        return b"".join(bytes(chunk) for chunk in self._blob(item).chunks())

    def _blob(self, item: Descriptor) -> Blob:
        return self._artifacts.blob(self._reference, item)

    @property
    def _artifacts(self) -> Artifacts:
        if self._supplies.artifacts is None:
            raise TypeError("the supplies have no registries")
        return self._supplies.artifacts

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Raise the problems of the registry and of the artifact as those of this place."""
        try:
            yield
        except UntrustedError as error:
            raise failure("SOURCE_ANSWER", f"{self._where}: {error}", where=self._where) from error
        except MealkitError as error:
            first = error.problems[0]
            code = _AS_SOURCE.get(first.code)
            if code is None:
                raise
            raise failure(code, first.message, hint=first.hint, where=self._where) from error


@dataclass(frozen=True, slots=True)
class _Model:
    """An artifact as it was read: its digest, and its layers."""

    digest: Digest
    found: ModelLayers


class _BlobRanges:
    """Pieces of a layer; the first bytes are requested once and kept."""

    def __init__(self, reader: ArtifactReader, blob: Blob) -> None:
        self._reader = reader
        self._blob = blob
        self._head: bytes | None = None
        self.size_bytes = blob.size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``; fewer only at the end of the file."""
        length = max(0, min(length, self.size_bytes - offset))
        if self._head is None:
            self._head = self._piece(0, min(HEAD_BYTES, self.size_bytes))
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        return self._piece(offset, length)

    def _piece(self, offset: int, length: int) -> bytes:
        if not length:
            return b""
        with self._reader._problems():  # noqa: SLF001  one adapter in two classes
            return b"".join(bytes(chunk) for chunk in self._blob.chunks(offset, length))


def _at(reference: Reference, digest: Digest | None) -> Reference:
    if digest is None:
        return reference
    return Reference(reference.registry, reference.repository, reference.tag, digest)


def _may_match(layer: ModelLayer, patterns: Sequence[str]) -> bool:
    """Return whether a layer that is packed may have a matching file."""
    return layer.name is None or matches(layer.name, patterns)

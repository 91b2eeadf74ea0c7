"""Fetches layers from a registry into parts on disk, which a later command continues.

A part is named by the digest of its bytes and locked by the process that writes it. So a killed
pull goes on where it ended, and of two pulls at once the second waits and shares the bytes. If a
mirror sends other bytes, they are fetched again from the registry itself.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, RegistryError
from mealkit.files.whole import require_space
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.image import Layer
from mealkit.progress import Advance, Progress
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.client import RegistryClient
from mealkit.stores.registry.read_ahead import ReadAhead

T = TypeVar("T")


# Each is hashed on one core; the pieces of a large one come on several connections anyway.
_LAYERS_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a blob in a registry, and the digest that its bytes must have.

    ``head`` and ``tail`` are the bytes of the blob around it, if they are known.
    """

    blob: RegistryBlob
    offset: int
    size_bytes: int
    digest: Digest
    head: bytes = b""
    tail: bytes = b""


class Fetching:
    """Fetches the blobs of one command: several at a time, large ones in pieces.

    Use it as a context manager, and ``LocalStore.use`` around it.
    """

    def __init__(self, store: LocalStore, cache: FileCache, progress: Progress) -> None:
        self._store = store
        self._cache = cache
        self._progress = progress
        self._ahead = ReadAhead()
        self._stop = Stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self._ahead.close()

    def fetch_layers(self, layers: Sequence[Layer], title: str) -> None:
        """Fetch the layers that are in a registry and not in the store.

        Raises:
            RegistryError, StoreError: the registry refuses, or bytes do not match their digest.
        """
        remote = {
            layer.blob.digest: layer
            for layer in layers
            if isinstance(layer.blob, RegistryBlob) and not self._store.has(layer.blob.digest)
        }
        total_bytes = sum(layer.blob.size_bytes for layer in remote.values())
        self.each(self._fetch_layer, list(remote.values()), title, total_bytes, "layers")

    def each(
        self,
        work: Callable[[T, Advance], None],
        items: Sequence[T],
        title: str,
        total_bytes: int,
        noun: str,
    ) -> None:
        """Do the work of fetching each item, several at a time, with one progress for all."""
        if not items:
            return
        task = self._progress.task(title, total_bytes)
        advance = self._stop.guarded(task.advance)
        side_by_side(
            lambda item: work(item, advance), items, threads=_LAYERS_AT_ONCE, stop=self._stop
        )
        task.done(f"{len(items)} {noun}")

    def fetch_file(self, span: Span, advance: Advance) -> tuple[Path, Digest | None]:
        """Return the file in the cache that a span's bytes are; fetch it if it is missing.

        With it comes the digest of the whole blob, made of ``head``, the file and ``tail``, if the
        bytes were fetched now; of a file that was there it is not known.

        Raises:
            RegistryError, StoreError: the registry refuses, or bytes do not match their digest.
        """
        while True:
            present = self._cache.path(span.digest)
            if present is not None:
                advance(span.size_bytes)
                return present, None
            with self._complete(span, advance) as part:
                if part is not None:
                    whole = part.digest_within(span.tail)
                    return self._cache.add(part.path, span.digest), whole

    def _fetch_layer(self, layer: Layer, advance: Advance) -> None:
        blob = layer.blob
        if not isinstance(blob, RegistryBlob):
            raise TypeError("the layer is not in a registry")
        span = Span(blob, 0, blob.size_bytes, blob.digest)
        while not self._store.has(blob.digest):
            with self._complete(span, advance) as part:
                if part is not None:
                    self._store.adopt(layer, part.path)
                    return
        advance(blob.size_bytes)

    @contextmanager
    def _complete(self, span: Span, advance: Advance) -> Iterator[PartialDownload | None]:
        """Yield the complete part while it is locked; None if another process finished it."""
        with open_partial_download(
            self._cache.parts, span.digest.hex, head=span.head, check=self._stop.check
        ) as part:
            if part is not None:
                require_space(self._cache.parts, span.size_bytes - part.size_bytes)
                self._fill(part, span, advance)
                part.forget_origin()
            yield part

    def _fill(self, part: PartialDownload, span: Span, advance: Advance) -> None:
        """Write the missing bytes after those of an earlier command; all again if they differ."""
        if part.size_bytes > span.size_bytes:
            part.restart()
        advance(part.size_bytes)
        attempts = [span.blob]
        if part.size_bytes or self._ahead.is_large(span.size_bytes):
            attempts.append(span.blob)
        if len(span.blob.clients) > 1:
            attempts.append(span.blob.at_registry())
        for left, blob in zip(range(len(attempts) - 1, -1, -1), attempts, strict=True):
            asked = blob.first
            wrong = self._wrong(part, span, blob, advance)
            if wrong is None:
                return
            if not left:
                part.discard()
                raise RegistryError(wrong)
            advance(-part.size_bytes)
            part.restart()
            following = attempts[-left].first
            if following is not asked:
                message = f"{wrong.message}; now from {following.endpoint.registry}"
                self._progress.notice(replace(wrong, message=message))

    def _wrong(
        self, part: PartialDownload, span: Span, blob: RegistryBlob, advance: Advance
    ) -> Problem | None:
        """Write the missing bytes; return the problem if all bytes together are not the span's."""
        start, end = span.offset + part.size_bytes, span.offset + span.size_bytes
        used: set[RegistryClient] = set()
        try:
            with closing(self._ahead.chunks(blob, start, end, used)) as chunks:
                for chunk in chunks:
                    part.write(chunk)
                    advance(len(chunk))
        except MealkitError as error:
            if error.problems[0].code != "REGISTRY_DIGEST":
                raise
            return error.problems[0]
        if part.digest == span.digest:
            return None
        what = f"has bytes with the digest {part.digest}, expected {span.digest}"
        return blob.other_bytes(what, *used).problems[0]

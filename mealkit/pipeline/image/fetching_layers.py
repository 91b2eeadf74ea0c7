"""Fetches layers from a registry into parts on disk, which a later command continues.

A part is named by the digest of its bytes and locked by the process that writes it. So a killed
pull goes on where it ended, and of two pulls at once the second waits and shares the bytes. If a
mirror sends other bytes, they are fetched again from the registry itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, RegistryError, problem
from mealkit.files.whole import require_space
from mealkit.oci.image import Layer
from mealkit.progress import Advance, Progress
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a blob in a registry, and the digest that its bytes must have."""

    blob: RegistryBlob
    offset: int
    size_bytes: int
    digest: Digest


def fetch_layers(
    layers: Sequence[Layer], title: str, store: LocalStore, cache: FileCache, progress: Progress
) -> None:
    """Fetch the layers that are in a registry and not in the store; call it within ``use``.

    Raises:
        RegistryError, StoreError: the registry refuses, or bytes do not match their digest.
    """
    remote = {
        layer.blob.digest: layer
        for layer in layers
        if isinstance(layer.blob, RegistryBlob) and not store.has(layer.blob.digest)
    }
    if not remote:
        return
    task = progress.task(title, sum(layer.blob.size_bytes for layer in remote.values()))
    for layer in remote.values():
        _fetch_layer(layer, store, cache, task.advance, progress)
    task.done(f"{len(remote)} layers")


def fetch_file(span: Span, cache: FileCache, advance: Advance, progress: Progress) -> Path:
    """Return the file in the cache that a span's bytes are; fetch it if it is missing.

    Raises:
        RegistryError, StoreError: the registry refuses, or bytes do not match their digest.
    """
    while True:
        present = cache.path(span.digest)
        if present is not None:
            advance(span.size_bytes)
            return present
        with _complete(span, cache, advance, progress) as part:
            if part is not None:
                return cache.add(part.path, span.digest)


def _fetch_layer(
    layer: Layer, store: LocalStore, cache: FileCache, advance: Advance, progress: Progress
) -> None:
    blob = layer.blob
    if not isinstance(blob, RegistryBlob):
        raise TypeError("the layer is not in a registry")
    span = Span(blob, 0, blob.size_bytes, blob.digest)
    while not store.has(blob.digest):
        with _complete(span, cache, advance, progress) as part:
            if part is not None:
                store.adopt(layer, part.path)
                return
    advance(blob.size_bytes)


@contextmanager
def _complete(
    span: Span, cache: FileCache, advance: Advance, progress: Progress
) -> Iterator[PartialDownload | None]:
    """Yield the complete part while it is locked; None if another process finished it."""
    with open_partial_download(cache.parts, span.digest.hex) as part:
        if part is not None:
            require_space(cache.parts, span.size_bytes - part.size_bytes)
            _fill(part, span, advance, progress)
            part.forget_origin()
        yield part


def _fill(part: PartialDownload, span: Span, advance: Advance, progress: Progress) -> None:
    """Write the missing bytes after those of an earlier command; if they differ, all bytes anew."""
    if part.size_bytes > span.size_bytes:
        part.restart()
    advance(part.size_bytes)
    attempts = [span.blob] * (2 if part.size_bytes else 1)
    if len(span.blob.clients) > 1:
        attempts.append(span.blob.at_registry())
    for left, blob in zip(range(len(attempts) - 1, -1, -1), attempts, strict=True):
        wrong = _wrong(part, span, blob, advance)
        if wrong is None:
            return
        if not left:
            part.discard()
            raise RegistryError(wrong)
        advance(-part.size_bytes)
        part.restart()
        if attempts[-left] is not blob:
            message = f"{wrong.message}; now from {span.blob.registry}"
            progress.notice(replace(wrong, message=message))


def _wrong(
    part: PartialDownload, span: Span, blob: RegistryBlob, advance: Advance
) -> Problem | None:
    """Write the missing bytes; return the problem if all bytes together are not the span's."""
    start, missing_bytes = span.offset + part.size_bytes, span.size_bytes - part.size_bytes
    try:
        for chunk in blob.chunks(start, missing_bytes):
            part.write(chunk)
            advance(len(chunk))
    except MealkitError as error:
        if error.problems[0].code != "REGISTRY_DIGEST":
            raise
        return error.problems[0]
    if part.digest == span.digest:
        return None
    names = ", ".join(client.endpoint.registry for client in blob.clients)
    message = f"the bytes of {span.digest} from {names} have the digest {part.digest}"
    return problem("REGISTRY_DIGEST", message, where=names)

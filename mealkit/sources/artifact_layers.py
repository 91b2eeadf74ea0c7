"""Fetches the layers of a model's artifact, and extracts files from those that are archives.

A layer is fetched into a part on disk, which a later command continues. Raises SourceError for
bytes that do not match their digest, and UntrustedError for archives that cannot be read.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import require_space
from mealkit.oci.compression import max_unpacked_bytes, unpacked
from mealkit.oci.image import Blob
from mealkit.oci.model_artifacts import ModelLayer, file_name
from mealkit.oci.tar_source import Bytes, StreamSource
from mealkit.oci.untar import Kind, TarStream
from mealkit.progress import Advance
from mealkit.sources.file_cache import FileCache
from mealkit.sources.partial_download import PartialDownload, open_partial_download
from mealkit.untrusted import UntrustedError, shown

_MAX_ENTRIES = 100_000
# A part of an earlier command, then all bytes, then all bytes from the registry after its mirror.
_ATTEMPTS = 3

Require = Callable[[str, Digest], None]
"""Raises for a file that does not have the digest that is expected of it."""


def fetch_layer(blob: Blob, cache: FileCache, advance: Advance) -> Path:
    """Return the file in the cache that a blob's bytes are; fetch it if it is missing.

    Raises:
        SourceError: ``SOURCE_DIGEST``.
        MealkitError: the registry or the disk fails.
    """
    while True:
        present = cache.path(blob.digest)
        if present is not None:
            advance(blob.size_bytes)
            return present
        with open_partial_download(cache.parts, blob.digest.hex) as part:
            if part is not None:  # else another process has finished it
                require_space(cache.parts, blob.size_bytes - part.size_bytes)
                _fill(part, blob, advance)
                part.forget_origin()
                return cache.add(part.path, blob.digest)


def _fill(part: PartialDownload, blob: Blob, advance: Advance) -> None:
    if part.size_bytes > blob.size_bytes:
        part.restart()
    advance(part.size_bytes)
    found = part.digest
    for _ in range(_ATTEMPTS):
        try:
            for chunk in blob.chunks(part.size_bytes):
                part.write(chunk)
                advance(len(chunk))
        except MealkitError as error:
            if error.problems[0].code != "REGISTRY_DIGEST":
                raise
        found = part.digest
        if found == blob.digest:
            return
        advance(-part.size_bytes)
        part.restart()
    part.discard()
    raise failure("SOURCE_DIGEST", f"expected {blob.digest}, found {found}")


def extracted(
    layer: ModelLayer,
    path: Path,
    is_wanted: Callable[[str], bool],
    cache: FileCache,
    require: Require,
) -> dict[str, tuple[Digest, Path]]:
    """Extract the wanted files of a layer at a path into the cache; return them by name.

    Raises:
        UntrustedError: the layer is not what its type says, decompresses to too much, has a file
            twice, or a name points outside.
        MealkitError: ``require`` raises, or the disk fails.
    """
    found: dict[str, tuple[Digest, Path]] = {}
    for name, size_bytes, chunks in _files(layer, path):
        if name in found:
            raise UntrustedError(f"it has the file {shown(name)} twice")
        if is_wanted(name):

            def check(digest: Digest, name: str = name) -> None:
                require(name, digest)

            found[name] = cache.add_chunks(chunks, size_bytes, check)
    return found


def _files(layer: ModelLayer, path: Path) -> Iterator[tuple[str, int, Iterator[Bytes]]]:
    """Yield the name, size and bytes of every file in a layer, each to be read before the next."""
    packed_bytes = layer.descriptor.size_bytes
    most_bytes = max_unpacked_bytes(layer.packing, packed_bytes)
    plain = unpacked(layer.packing, file_chunks(path), most_bytes)
    if layer.name is not None:
        yield layer.name, packed_bytes, plain
        return
    stream = TarStream(StreamSource(plain), max_entries=_MAX_ENTRIES)
    for member in stream.members():
        text = member.path.decode(errors="surrogateescape").rstrip("/")
        if text in {"", "."}:
            continue
        # The name of a folder or a link is checked, too: such an archive is no model's.
        name = file_name(text)
        if member.kind is Kind.FILE:
            yield name, member.size_bytes, stream.data()

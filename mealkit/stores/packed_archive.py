"""The bytes of an OCI archive before they are written: any range of them can be read.

The archive's size is known before a byte is read, so it can be divided into volumes. Small files
come first: a reader sees indexes, manifests and signatures before the weights. The bytes depend
only on the content.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from mealkit.digest import Digest, canonical_json
from mealkit.errors import failure
from mealkit.oci.artifact import Artifact
from mealkit.oci.image import Blob, BytesBlob, Content, with_parts
from mealkit.oci.index import LAYOUT_BYTES, LAYOUT_FILE, SUBJECT, ImageIndex, Index
from mealkit.oci.tar import END, Bytes, TarDirectory, TarFile, header
from mealkit.oci.ustar import padding
from mealkit.progress import Advance, silent
from mealkit.stores.blobs import parts_of

BLOBS = "blobs/sha256/"
INDEX_NAME = "index.json"


@dataclass(frozen=True, slots=True)
class NamedContent:
    """An image or an index for an archive, and its names there."""

    content: Content
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AttachedArtifact:
    """An artifact for an archive, and the digest that it is about; None: about the archive."""

    artifact: Artifact
    subject: Digest | None


@dataclass(frozen=True, slots=True)
class CoveringIndex:
    """An index of which an archive has only one image: signatures may be about the index."""

    index: ImageIndex
    """The index, without its images."""
    image: Digest


@dataclass(frozen=True)
class PackedArchive:
    """An OCI archive: its index, and its blobs, each once, in the order of the file."""

    raw_index: bytes
    blobs: tuple[Blob, ...]

    @cached_property
    def _pieces(self) -> tuple[tuple[Blob, bool], ...]:
        """Everything in the file: headers, padding and blobs, and whether it is a blob."""
        head = [header(TarFile.of(LAYOUT_FILE, LAYOUT_BYTES)), LAYOUT_BYTES, _gap(LAYOUT_BYTES)]
        index = TarFile.of(INDEX_NAME, self.raw_index)
        head += [header(index), self.raw_index, _gap(self.raw_index)]
        head += [header(TarDirectory(path)) for path in ("blobs", "blobs/sha256")]
        pieces: list[tuple[Blob, bool]] = [(BytesBlob(b"".join(head)), False)]
        for blob in self.blobs:
            entry = TarFile(f"{BLOBS}{blob.digest.hex}", blob.size_bytes, tuple)
            pieces.append((BytesBlob(header(entry)), False))
            pieces.append((blob, True))
            pieces.append((BytesBlob(padding(blob.size_bytes)), False))
        return (*pieces, (BytesBlob(END), False))

    @property
    def beginning(self) -> bytes:
        """The first bytes of the archive, up to the end of its index."""
        return b"".join(bytes(chunk) for chunk in self._pieces[0][0].chunks())

    @cached_property
    def size_bytes(self) -> int:
        """The number of bytes of the archive."""
        return sum(piece.size_bytes for piece, _ in self._pieces)

    def start_of(self, offset: int) -> int:
        """Return where the blob, header or padding begins that has the byte at an offset."""
        start = 0
        for piece, _ in self._pieces:
            if start + piece.size_bytes > offset:
                break
            start += piece.size_bytes
        return start

    def chunks(self, offset: int = 0, advance: Advance = silent) -> Iterator[Bytes]:
        """Yield the bytes from ``offset``; ``advance`` is called with those of blobs.

        A blob that is not on this machine is read from its beginning, so that all its bytes are
        compared with its digest.

        Raises:
            SourceError: ``SOURCE_CHANGED``: a blob does not have the stated size; and the errors of
                reading the blobs.
        """
        start = 0
        for piece, is_blob in self._pieces:
            end = start + piece.size_bytes
            if end > offset:
                told = advance if is_blob else silent
                yield from _told(piece, max(0, offset - start), told)
            start = end


def packed(
    contents: Sequence[NamedContent],
    artifacts: Sequence[AttachedArtifact],
    indexes: Sequence[CoveringIndex] = (),
) -> PackedArchive:
    """Return the archive of images and indexes, and of what is attached to them."""
    index, blobs = Index(), dict[Digest, Blob]()
    every: list[Content] = []
    for item in contents:
        index = index.with_image(item.content.descriptor, item.names)
        every += with_parts(item.content)
    about: list[tuple[Content, Digest | None]] = [
        *((attached.artifact, attached.subject) for attached in artifacts),
        *((covering.index, covering.image) for covering in indexes),
    ]
    for content, subject in about:
        notes = {} if subject is None else {SUBJECT: str(subject)}
        entry = replace(content.descriptor, annotations=notes)
        index = replace(index, forms=(*index.forms, entry.as_json()))
        every.append(content)
    forms = {canonical_json(form): form for form in index.forms}
    index = replace(index, forms=tuple(forms[key] for key in sorted(forms)))
    for one in every:
        blobs |= {blob.digest: blob for blob in one.blobs}
        raw = BytesBlob(one.raw_manifest)
        blobs[raw.digest] = raw
    ordered = sorted(blobs.values(), key=lambda blob: (blob.size_bytes, blob.digest))
    return PackedArchive(index.as_bytes(), tuple(ordered))


def _gap(data: bytes) -> bytes:
    return padding(len(data))


def _told(blob: Blob, offset: int, advance: Advance) -> Iterator[Bytes]:
    """Yield a blob's bytes from an offset, and report each chunk after it was used."""
    is_here = parts_of(blob) is not None
    skipped = 0 if is_here else offset
    left = blob.size_bytes - offset
    for chunk in blob.chunks(offset) if is_here else blob.chunks():
        wanted = memoryview(chunk)[skipped:]
        skipped -= len(chunk) - len(wanted)
        left -= len(wanted)
        if left < 0:
            break
        if wanted:
            yield wanted
            advance(len(wanted))
    if left:
        what = "shorter" if left > 0 else "longer"
        message = f"blob {blob.digest} is {what} than the stated {blob.size_bytes} bytes"
        raise failure("SOURCE_CHANGED", message, where=blob.digest)

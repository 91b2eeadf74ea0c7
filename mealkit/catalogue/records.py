"""Records: the immutable artifacts that a catalogue is made of.

Each change of a catalogue is one record with a name of its own: an entry, or the records that it
replaces, or both. Records are only ever added. So several writers at once lose nothing, also in a
registry that cannot compare before it writes: the content is the union of all records without the
replaced ones, in any order.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.catalogue.entry import Entry, read_entry
from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, Problem, failure, problem
from mealkit.oci.artifact import Artifact, Attachment, artifact_of
from mealkit.oci.descriptor import MANIFEST, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.oci.manifest import Manifest
from mealkit.untrusted import UntrustedError, parse_json

RECORD_TYPE = "application/vnd.mealkit.catalogue.record.v1"
MARKDOWN_TYPE = "text/markdown"
ENTRY = "dev.mealkit.catalogue.entry"
"""The annotation with the entry as JSON."""
_REPLACES = "dev.mealkit.catalogue.replaces"
# The number of records that its writer saw; so an entry that is added again has another digest.
_AFTER = "dev.mealkit.catalogue.after"

MAX_README_BYTES = 256 * 1024
"""The maximum size of a README."""
_MAX_RECORD_BYTES = 128 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One record as a catalogue's index lists it: its descriptor with its annotations, typed."""

    listed: Descriptor
    entry: Entry | None
    """None: it only removes entries, or its entry cannot be read (``fault``)."""
    replaces: frozenset[Digest]
    fault: Problem | None = None

    @property
    def digest(self) -> Digest:
        """The digest that names the record."""
        return self.listed.digest

    @property
    def is_shown(self) -> bool:
        """Whether it has an entry, which may be one that this mealkit cannot read."""
        return ENTRY in self.listed.annotations


def new_record(
    entry: Entry | None, replaces: Sequence[Digest], after: int, readme: bytes | None = None
) -> Artifact:
    """Return the artifact of a record.

    Raises:
        StoreError: ``CATALOGUE_INVALID``: it is too large.
    """
    annotations = {_AFTER: str(after)}
    if entry is not None:
        annotations[ENTRY] = canonical_json(entry.form()).decode()
    if replaces:
        annotations[_REPLACES] = canonical_json(sorted(replaces)).decode()
    files = () if readme is None else (Attachment(MARKDOWN_TYPE, BytesBlob(readme), {}),)
    made = artifact_of(RECORD_TYPE, files, annotations=annotations)
    if len(made.raw_manifest) > _MAX_RECORD_BYTES or len(readme or b"") > MAX_README_BYTES:
        title = entry.title if entry else "the removal"
        raise failure("CATALOGUE_INVALID", f"{title} is too large for a catalogue", where=title)
    return made


def read_record(raw_manifest: bytes) -> Record | None:
    """Return the record in a manifest; None if it is something else."""
    if len(raw_manifest) > _MAX_RECORD_BYTES:
        return None
    try:
        manifest = Manifest.read(raw_manifest, MANIFEST)
    except MealkitError:
        return None
    if manifest.artifact_type != RECORD_TYPE:
        return None
    kept = {name: manifest.annotations[name] for name in _KEPT if name in manifest.annotations}
    return listed_record(
        Descriptor(
            MANIFEST,
            Digest.of(raw_manifest),
            len(raw_manifest),
            kept,
            artifact_type=RECORD_TYPE,
        )
    )


def listed_record(listed: Descriptor) -> Record:
    """Return a record from its descriptor in an index; a fault in it is part of the result."""
    where = f"record {listed.digest.short}"
    entry, fault = None, None
    try:
        replaces = _digests(listed.annotations.get(_REPLACES, "[]"))
    except (UntrustedError, ValueError) as error:
        message = f"the list of replaced records cannot be read: {error}"
        return Record(listed, None, frozenset(), problem("CATALOGUE_INVALID", message, where=where))
    if ENTRY in listed.annotations:
        try:
            entry = read_entry(listed.annotations[ENTRY], where)
        except MealkitError as error:
            fault = error.problems[0]
    return Record(listed, entry, replaces, fault)


_KEPT = (ENTRY, _REPLACES)


def _digests(text: str) -> frozenset[Digest]:
    found = parse_json(text.encode(errors="surrogatepass"))
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(f"{json.dumps(found)[:80]} is not a list of digests")
    return frozenset(Digest(item) for item in found)

"""Reads and changes a catalogue: records are added, and the index is made from all of them.

The place of a catalogue is a repository of a registry or a folder (``Journal``). The index is only
a summary: a reader compares it with the list of records, and reads what it lacks. So it does not
matter who wrote it last, or whether a writer was killed before it did.
"""

from collections.abc import Sequence
from typing import Protocol

from mealkit.catalogue.catalogue import MAX_RECORDS, Catalogue, log_of
from mealkit.catalogue.records import Record, read_record
from mealkit.digest import Digest
from mealkit.errors import failure
from mealkit.jobs import Stop, side_by_side
from mealkit.oci.artifact import Artifact

_AT_ONCE = 8
# Each writer that comes in between writes the index itself, so a few attempts are enough.
_MOST_ATTEMPTS = 5


class Journal(Protocol):
    """The place of a catalogue."""

    @property
    def where(self) -> str:
        """The name of the place, for people."""
        ...

    def names(self) -> frozenset[Digest]:
        """Return the digests of all records; some may name something else."""
        ...

    def manifest(self, name: Digest) -> bytes | None:
        """Return the manifest of a record; None: it is not there any more."""
        ...

    def readme(self, name: Digest) -> bytes | None:
        """Return the file in a record; None: it has none."""
        ...

    def index(self) -> bytes | None:
        """Return the index; None: there is none yet."""
        ...

    def add(self, record: Artifact) -> None:
        """Add a record under a name of its own."""
        ...

    def publish(self, index: bytes) -> None:
        """Replace the index."""
        ...


def read_catalogue(journal: Journal) -> Catalogue:
    """Return what a catalogue lists now; an empty one if the place does not exist.

    Raises:
        StoreError: ``CATALOGUE_INVALID``: the place has something else, or too many records.
        RegistryError: ``REGISTRY_*``.
    """
    return _merged(journal, frozenset())


def change(journal: Journal, record: Artifact) -> Catalogue:
    """Add a record, and replace the index; return what the catalogue lists then.

    Other writers may do the same at the same time.

    Raises:
        StoreError: ``CATALOGUE_INVALID``, as ``read_catalogue`` and ``Catalogue.as_bytes`` do.
        RegistryError: ``REGISTRY_*``.
    """
    added = read_record(record.raw_manifest)
    own = frozenset({record.digest})
    before = _merged(journal, frozenset())
    # An index that would be too large is refused before anything is written.
    Catalogue.merged([*before.records, *([added] if added else [])], own).as_bytes()
    journal.add(record)
    found = before
    for _ in range(_MOST_ATTEMPTS):
        found = _merged(journal, own)
        raw = found.as_bytes()
        journal.publish(raw)
        if journal.index() == raw and log_of(_names(journal) | own) == found.log:
            break
    return found


def _merged(journal: Journal, own: frozenset[Digest]) -> Catalogue:
    raw = journal.index()
    summary = Catalogue() if raw is None else Catalogue.parse(raw, journal.where)
    # A registry may list a new tag only after a moment; one's own are known.
    names = _names(journal) | own
    if summary.log == log_of(names):
        return summary
    known = {record.digest: record for record in summary.records}
    fresh = _read(journal, sorted(names - known.keys()))
    return Catalogue.merged([*known.values(), *fresh], names)


def _names(journal: Journal) -> frozenset[Digest]:
    names = journal.names()
    if len(names) > MAX_RECORDS:
        message = f"{journal.where} has {len(names)} records; the limit is {MAX_RECORDS}"
        raise failure("CATALOGUE_INVALID", message, where=journal.where)
    return names


def _read(journal: Journal, names: Sequence[Digest]) -> list[Record]:
    raws = side_by_side(journal.manifest, names, threads=_AT_ONCE, stop=Stop())
    found = (read_record(raw) for raw in raws if raw is not None)
    return [record for record in found if record is not None]

"""A catalogue as a value: the kits that it lists, and the OCI index that lists them.

The index is a summary of the records, made for readers: one request instead of one for each record.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from mealkit.catalogue.entry import Entry, version_key
from mealkit.catalogue.records import ENTRY, RECORD_TYPE, Record, listed_record
from mealkit.digest import Digest
from mealkit.errors import MealkitError, Problem, failure
from mealkit.oci.index import Index

CATALOGUE_TYPE = "application/vnd.mealkit.catalogue.v1"
_LOG = "dev.mealkit.catalogue.log"

MAX_RECORDS = 10_000
"""A catalogue with more records, also replaced ones, is not read."""
# Registries must accept manifests of 4 MiB (distribution-spec "Pushing Manifests").
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """A kit in a catalogue, and the record that lists it."""

    entry: Entry
    record: Digest


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The records that are not replaced, sorted by digest, and which records it was made from."""

    records: tuple[Record, ...] = ()
    log: Digest | None = None
    """The digest of the list of all records; None: unknown."""

    @classmethod
    def merged(cls, records: Iterable[Record], names: Iterable[Digest]) -> Self:
        """Return what records list together; ``names`` are the digests of all records."""
        unique = {record.digest: record for record in records}
        replaced = frozenset[Digest]().union(*(record.replaces for record in unique.values()))
        kept = (record for record in unique.values() if record.digest not in replaced)
        shown = (record for record in kept if record.is_shown)
        return cls(tuple(sorted(shown, key=lambda record: record.digest)), log_of(names))

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Read an index.

        Raises:
            StoreError: ``CATALOGUE_INVALID``: it is not the index of a catalogue.
        """
        try:
            index = Index.parse(raw, where)
        except MealkitError as error:
            raise failure("CATALOGUE_INVALID", error.problems[0].message, where=where) from error
        if index.artifact_type != CATALOGUE_TYPE:
            stated = index.artifact_type or "an index of images"
            message = f"{where} is not a catalogue: it is {stated}"
            raise failure("CATALOGUE_INVALID", message, where=where)
        if len(index.forms) > MAX_RECORDS:
            message = f"{where} lists {len(index.forms)} entries; the limit is {MAX_RECORDS}"
            raise failure("CATALOGUE_INVALID", message, where=where)
        found = (item for item in index.descriptors if item.artifact_type == RECORD_TYPE)
        return cls(tuple(map(listed_record, found)), _stated_log(index))

    def as_bytes(self) -> bytes:
        """Return the bytes of the index: the same for the same records.

        Raises:
            StoreError: ``CATALOGUE_INVALID``: registries would refuse so large an index.
        """
        annotations = {_LOG: str(self.log)} if self.log else {}
        forms = tuple(record.listed.as_json() for record in self.records)
        raw = Index(forms, CATALOGUE_TYPE, annotations=annotations).as_bytes()
        if len(raw) > _MAX_BYTES:
            raise failure(
                "CATALOGUE_INVALID",
                f"with {len(forms)} entries the index has {len(raw)} bytes; registries accept"
                f" {_MAX_BYTES}",
                hint="remove old versions, or keep a second catalogue",
            )
        return raw

    @property
    def kits(self) -> tuple[Listed, ...]:
        """The kits, by name, the newest version first; equal entries once."""
        unique: dict[str, Listed] = {}
        for record in self.records:
            if record.entry is not None:
                stated = record.listed.annotations[ENTRY]
                unique.setdefault(stated, Listed(record.entry, record.digest))
        by_version = sorted(unique.values(), key=lambda item: version_key(item.entry.version))
        newest = reversed(by_version)
        return tuple(sorted(newest, key=lambda item: item.entry.name))

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems of the entries that cannot be read."""
        return tuple(record.fault for record in self.records if record.fault)

    def of(self, name: str, version: str | None = None) -> tuple[Listed, ...]:
        """Return the versions of a kit, newest first, or one version; two if they contradict."""
        return tuple(
            item
            for item in self.kits
            if item.entry.name == name and version in {None, item.entry.version}
        )


def _stated_log(index: Index) -> Digest | None:
    try:
        return Digest(index.annotations.get(_LOG, ""))
    except ValueError:
        return None


def log_of(names: Iterable[Digest]) -> Digest:
    """Return the digest of the list of records, which shows whether an index is current."""
    return Digest.of("\n".join(sorted(names)).encode())


def versions_of(kits: Sequence[Listed]) -> str:
    """Return the versions as a text for a message."""
    return ", ".join(item.entry.version for item in kits)

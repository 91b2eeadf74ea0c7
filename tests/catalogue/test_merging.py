"""Changes of a catalogue by several writers: whatever the order, nothing is lost."""

from dataclasses import dataclass, field

import pytest

from mealkit.catalogue.catalogue import Catalogue
from mealkit.catalogue.merging import change, read_catalogue
from mealkit.catalogue.records import new_record
from mealkit.digest import Digest
from mealkit.errors import StoreError


@dataclass
class Memory:
    """A journal in memory; ``between`` runs before an index is replaced, as another writer would."""

    where: str = "memory"
    records: dict = field(default_factory=dict)
    raw: bytes | None = None
    between: list = field(default_factory=list)
    reads: int = 0

    def names(self):
        return frozenset(self.records)

    def manifest(self, name):
        self.reads += 1
        return self.records[name].raw_manifest

    def index(self):
        return self.raw

    def add(self, record):
        self.records[record.digest] = record

    def publish(self, index):
        if self.between:
            self.between.pop()()
        self.raw = index


def added(journal, entry):
    return change(journal, new_record(entry, [], len(journal.records)))


def titles(catalogue):
    return [item.entry.title for item in catalogue.kits]


def test_a_writer_that_is_overtaken_writes_the_index_again(make_entry):
    """It replaces the index of the other writer, sees that, and both entries are in the end."""
    journal = Memory()
    journal.between = [lambda: added(journal, make_entry("b"))]
    assert titles(added(journal, make_entry("a"))) == ["a:1.0.0", "b:1.0.0"]
    assert titles(Catalogue.parse(journal.raw, "")) == ["a:1.0.0", "b:1.0.0"]


def test_a_reader_does_not_need_the_index(make_entry):
    """A writer that was killed before it wrote the index, or wrote an old one, loses nothing."""
    journal = Memory()
    added(journal, make_entry("a"))
    old = journal.raw
    added(journal, make_entry("b"))
    for raw in (old, None):
        journal.raw = raw
        assert titles(read_catalogue(journal)) == ["a:1.0.0", "b:1.0.0"]


def test_an_old_index_does_not_bring_back_what_was_removed(make_entry):
    """The record of the removal counts, whatever the index says."""
    journal = Memory()
    added(journal, make_entry("a"))
    old = journal.raw
    change(journal, new_record(None, sorted(journal.records), 1))
    journal.raw = old
    assert titles(read_catalogue(journal)) == []


def test_a_current_index_is_the_only_thing_that_is_read(make_entry):
    """However many kits it lists, a reader makes two requests."""
    journal = Memory()
    for name in ("a", "b", "c"):
        added(journal, make_entry(name))
    journal.reads = 0
    assert len(read_catalogue(journal).kits) == 3
    assert journal.reads == 0


def test_a_place_with_too_many_records_is_refused():
    """A registry could list tags without end."""
    journal = Memory(records=dict.fromkeys(Digest.of(b"%d" % number) for number in range(10_001)))
    with pytest.raises(StoreError, match="10001 records; the limit is 10000"):
        read_catalogue(journal)

"""The index of a catalogue: the same bytes for the same entries, and safe to read from anyone."""

import itertools
import json

import pytest

from mealkit.catalogue.catalogue import Catalogue
from mealkit.catalogue.entry import Trust
from mealkit.catalogue.records import ENTRY, new_record, read_record
from mealkit.digest import Digest
from mealkit.errors import StoreError


def record(entry, replaces=(), after=0):
    return read_record(new_record(entry, list(replaces), after).raw_manifest)


def merged(*records):
    return Catalogue.merged(records, [item.digest for item in records])


def test_the_index_does_not_depend_on_the_order_of_its_records(make_entry):
    """So writers that come at the same time agree, and an unchanged catalogue keeps its digest."""
    records = [record(make_entry(name)) for name in ("b", "a", "c")]
    found = {merged(*order).as_bytes() for order in itertools.permutations(records)}
    assert len(found) == 1


def test_the_index_is_read_as_it_was_written(make_entry):
    """The entries are in it, with the digest, version, owner, licence, task and requirements."""
    wanted = merged(record(make_entry("a")), record(make_entry("b", version="2.0.0")))
    found = Catalogue.parse(wanted.as_bytes(), "here")
    assert found == wanted
    assert [item.entry.title for item in found.kits] == ["a:1.0.0", "b:2.0.0"]


def test_newest_versions_come_first(make_entry):
    """By PyPI's rules: 1.10 is newer than 1.9, and a pre-release is older than every final one."""
    versions = ["1.9.0", "2.0.0rc1", "1.10.0"]
    found = merged(*(record(make_entry(version=version)) for version in versions))
    assert [item.entry.version for item in found.of("rake")] == ["1.10.0", "1.9.0", "2.0.0rc1"]
    assert [item.entry.version for item in found.of("rake", "1.9.0")] == ["1.9.0"]


def test_a_record_replaces_others(make_entry):
    """An entry that is added again after its removal is listed again."""
    first = record(make_entry())
    gone = record(None, [first.digest], after=1)
    again = record(make_entry(), after=2)
    assert merged(first, gone).kits == ()
    assert [item.record for item in merged(first, gone, again).kits] == [again.digest]


def test_an_entry_that_cannot_be_read_is_told_and_kept(make_entry):
    """A newer version of mealkit may have written it, so an older one must not drop it."""
    good, bad = new_record(make_entry("a"), [], 0), new_record(make_entry("b"), [], 0)
    raw = bad.raw_manifest.replace(b'\\"task\\":\\"embeddings\\"', b'\\"task\\":\\"juggling\\"')
    found = merged(read_record(good.raw_manifest), read_record(raw))
    assert [item.entry.name for item in found.kits] == ["a"]
    (fault,) = found.faults
    assert fault.message.startswith("it cannot be read: task: input should be 'embeddings', ")
    assert Catalogue.parse(found.as_bytes(), "here") == found


def test_two_writers_with_one_entry_list_it_once(make_entry):
    """Two pipelines that publish the same release do not contradict each other."""
    found = merged(record(make_entry(), after=0), record(make_entry(), after=1))
    assert len(found.kits) == 1


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{}", "it has no list of manifests"),
        (b'{"schemaVersion":2,"manifests":[]}', "is not a catalogue: it is an index of images"),
        (b"[" * 100_000, "is not an index"),
    ],
)
def test_what_is_not_a_catalogue_is_refused(raw, said):
    """Such as the repository of an image, or JSON that is nested without end."""
    with pytest.raises(StoreError) as error:
        Catalogue.parse(raw, "host/catalog")
    assert error.value.problems[0].code == "CATALOGUE_INVALID"
    assert said in error.value.problems[0].message


def test_an_index_that_registries_would_refuse_is_not_written(make_entry):
    """The limit is 4 MiB, some thousand entries."""
    trust = Trust(signers=("x" * 2000,) * 16)
    records = [record(make_entry(f"kit-{number}", trust=trust)) for number in range(140)]
    with pytest.raises(StoreError, match="registries accept 4194304"):
        merged(*records).as_bytes()


@pytest.mark.parametrize(
    "replaces", ['["sha256:1"]', "{", '"sha256"', "[1]", "[" * 5000, json.dumps([None])]
)
def test_a_list_of_replaced_records_that_cannot_be_read_replaces_nothing(make_entry, replaces):
    """It is told, and no other entry is lost."""
    made = json.loads(new_record(make_entry(), [Digest.of(b"x")], 0).raw_manifest)
    made["annotations"]["dev.mealkit.catalogue.replaces"] = replaces
    found = read_record(json.dumps(made).encode())
    assert found.replaces == frozenset()
    assert found.fault.code == "CATALOGUE_INVALID"
    assert ENTRY in found.listed.annotations


def test_other_artifacts_are_not_records():
    """A repository may have images, signatures and anything else under its tags."""
    assert read_record(b"{}") is None
    assert read_record(b"x" * 200_000) is None

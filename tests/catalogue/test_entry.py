"""Entries: what a catalogue may state about a kit."""

import json
import random

import pytest

from mealkit.catalogue.entry import (
    MAX_CLAIMS,
    MAX_ENTRY_BYTES,
    ListedClaim,
    read_entry,
    version_key,
)
from mealkit.digest import canonical_json
from mealkit.errors import StoreError
from mealkit.recipe.claims import Claimed, Metric, Tolerance


def text_of(entry, **changes):
    return canonical_json({**entry.form(), **changes}).decode()


def test_an_entry_is_read_as_it_was_written(make_entry):
    """Also by a version of mealkit that does not know all its fields."""
    entry = make_entry()
    assert read_entry(text_of(entry, news=["of the next version"]), "here") == entry


def test_an_entry_has_the_first_claims_in_short(make_entry):
    """A kit with many long claims can be listed; one without has the entry that it always had."""
    long = Claimed(
        name="table-1",
        source="T" * 2000,
        metric=Metric.SPEARMAN,
        value=0.8,
        tolerance=Tolerance(absolute=0.1),
        hardware="H" * 2000,
    )
    entry = make_entry(claims=(ListedClaim.of(long),) * MAX_CLAIMS)
    assert read_entry(text_of(entry), "here") == entry
    assert len(text_of(entry)) < MAX_ENTRY_BYTES // 2
    assert entry.claims[0].source == "T" * 200
    assert "claims" not in make_entry().form()


def test_it_is_pulled_by_digest(make_entry):
    """The tag of its reference may have moved."""
    entry = make_entry()
    assert str(entry.pinned) == f"registry.example.org/kits/rake@{entry.digest}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../rake"}, "name: "),
        ({"name": "rake\u202e"}, "name: "),
        ({"version": "1.0\n"}, "version: "),
        ({"reference": "rake:1"}, "is not registry/name"),
        ({"reference": "registry.example.org/rake\x1b[31m"}, "reference: "),
        ({"reference": "oci:/etc"}, "is not "),
        ({"digest": "sha256:12"}, "digest: "),
        ({"description": "\x1b]0;owned\x07"}, "description: "),
        ({"owner": {"team": "cooks"}}, "owner.contact: "),
        (
            {"owner": {"team": "c", "contact": "javascript:alert(1)", "support": "x"}},
            "owner.contact",
        ),
        ({"requirements": {}}, "requirements: "),
        ({"requirements": {"amd64": {"gpu": "none", "new": 1}}}, "requirements.amd64"),
        ({"trust": {"signers": ["a"] * 17}}, "trust.signers: "),
        ({"claims": ["of another kind"]}, "claims.0: "),
        (
            {"claims": [{"name": "a", "source": "b", "metric": "c", "value": "NaN"}]},
            "claims.0.value",
        ),
        ({"description": "x" * MAX_ENTRY_BYTES}, f"at most {MAX_ENTRY_BYTES} are allowed"),
    ],
)
def test_what_is_not_an_entry_is_refused(make_entry, changes, said):
    """Names, references, control characters and sizes have limits; the problem names the field."""
    with pytest.raises(StoreError) as error:
        read_entry(text_of(make_entry(), **changes), "record 1")
    assert error.value.problems[0].code == "CATALOGUE_INVALID"
    assert said in error.value.problems[0].message


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a":1,"a":2}', json.dumps({"deep": [[[[]]]]})])
def test_other_json_is_refused(text):
    """One bad entry is one problem, never a crash."""
    with pytest.raises(StoreError, match="CATALOGUE_INVALID"):
        read_entry(text, "record 1")


def test_versions_are_sorted_as_pip_chooses():
    """Final versions are newer than pre-releases, and what is not a version is oldest."""
    wanted = ["first", "nightly", "3.0.0rc1", "1.0", "1.9.0", "1.10.0", "2.0.0"]
    mixed = random.Random(7).sample(wanted, len(wanted))
    assert sorted(mixed, key=version_key) == wanted

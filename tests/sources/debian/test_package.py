"""An index's paragraph becomes an entry, with its relations, or is refused."""

import pytest

from mealkit.sources.debian.package import Relation, index_entry
from mealkit.sources.debian.paragraphs import paragraphs


def entry_of(text):
    return index_entry(next(paragraphs(text)))


def test_relations_are_read(stanza):
    """Bounds, alternatives, architecture qualifiers, restrictions and profiles are understood."""
    entry = entry_of(
        stanza(
            "a",
            pre_depends="p (>= 1:2~rc1-3)",
            depends="b:any (<< 2) | c , d [amd64] <!nocheck>,",
            provides="v (= 1), w",
            conflicts="x",
            breaks="y (<= 3)",
        )
    )
    assert entry.depends == (
        (Relation("p", ">=", "1:2~rc1-3"),),
        (Relation("b", "<<", "2"), Relation("c")),
        (Relation("d"),),
    )
    assert entry.provides == (Relation("v", "=", "1"), Relation("w"))
    assert entry.conflicts == (Relation("x"), Relation("y", "<=", "3"))


@pytest.mark.parametrize(
    ("bound", "version", "allowed"),
    [
        ("= 1.0-1", "1.0-1", True),
        ("= 1.0-1", "1.0-1+b1", False),
        (">= 1.0", "1.0~rc1", False),
        (">= 1.0", "1:0.1", True),
        (">> 1.0", "1.0", False),
        (">> 1.0", "1.0+deb13u1", True),
        ("<< 2.41", "2.5", True),
        ("<= 2.41", "2.41", True),
        ("< 2", "2", True),
        ("> 2", "2", True),
    ],
)
def test_versions_are_compared_as_dpkg_does(bound, version, allowed):
    """Epochs, tildes and revisions order versions; lone signs are inclusive."""
    operator, limit = bound.split()
    assert Relation("a", operator, limit).allows(version) is allowed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Filename: pool", "Filename: ../pool"),
        ("Filename: pool", "Filename: /pool"),
        ("SHA256: ", "MD5sum: "),
        ("SHA256: ", "SHA256: 0"),
        ("Size: 7", "Size: many"),
        ("Version: 1.0\n", ""),
        ("Depends: b", "Depends: b (1.0)"),
        ("Depends: b", "Depends: B&"),
    ],
)
def test_broken_paragraphs_are_refused(stanza, old, new):
    """A paragraph that lacks a field, or leads outside the mirror, is not a package."""
    text = stanza("a", depends="b")
    assert old in text
    with pytest.raises(ValueError):
        entry_of(text.replace(old, new))

"""An index can be handed over in any pieces and any order."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.sources.debian.package_index import PackageIndex


def index_of(*texts: str) -> PackageIndex:
    index = PackageIndex()
    for text in texts:
        index.add([text.encode()])
    return index


def test_newest_version_wins_over_all_indexes(stanza):
    """The highest version counts, whichever index it is in; a name without packages has none."""
    old, new = stanza("a", "1.9"), stanza("a", "1.10")
    for order in ((old, new), (new, old), (old + new,)):
        found = index_of(*order).newest("a")
        assert found is not None
        assert found.package.version == "1.10"
    assert index_of(old).newest("b") is None


def test_equal_versions_do_not_depend_on_the_order(stanza):
    """Of two builds of one version the same one is always taken."""
    one = stanza("a")
    other = one.replace("SHA256: ", "SHA256: ffff").replace("\nDescription", "\nDescription", 1)
    other = "\n".join(
        line[:72] if line.startswith("SHA256") else line for line in other.split("\n")
    )
    assert index_of(one, other).newest("a") == index_of(other, one).newest("a")


def test_only_the_newest_version_provides(stanza):
    """What an older version provided does not count."""
    index = index_of(stanza("a", "1", provides="v"), stanza("a", "2"), stanza("b", provides="v"))
    assert [entry.package.name for entry in index.providers("v")] == ["b"]
    assert index.providers("none") == []


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_pieces_do_not_matter(stanza, cuts):
    """Wherever the stream is cut, also in the middle of a line, the packages are the same."""
    text = (stanza("a", depends="b") + stanza("b", "1:2-3") + "\n\n" + stanza("c")).encode()
    edges = sorted({0, len(text), *(cut % len(text) for cut in cuts)})
    index = PackageIndex()
    index.add(text[start:end] for start, end in itertools.pairwise(edges))
    assert list(index.names()) == ["a", "b", "c"]
    found = index.newest("b")
    assert found is not None
    assert found.package.version == "1:2-3"


def test_what_is_no_index_is_refused():
    """A page of something else is refused, not taken for an empty index."""
    with pytest.raises(ValueError, match="starts with"):
        index_of("<html>\n<p>Sign in to the network</p>\n")

"""The dependency closure meets every need, in one way only."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mealkit.errors import LockError
from mealkit.sources.debian.closure import closure
from mealkit.sources.debian.package_index import PackageIndex


def index_of(*texts: str) -> PackageIndex:
    index = PackageIndex()
    index.add(text.encode() for text in texts)
    return index


def names(texts, roots=("a",), excluded=()) -> list[str]:
    return [entry.package.name for entry in closure(index_of(*texts), roots, excluded)]


def test_dependencies_are_followed_through_cycles(stanza):
    """Depends and Pre-Depends are followed, also where packages need each other."""
    texts = [
        stanza("a", depends="b"),
        stanza("b", pre_depends="c"),
        stanza("c", depends="a, b"),
        stanza("d"),
    ]
    assert names(texts) == ["a", "b", "c"]


def test_first_alternative_that_can_be_met_is_taken(stanza):
    """A missing or too old first alternative is passed over."""
    texts = [
        stanza("a", depends="x | b (>= 2) | c | d"),
        stanza("b", "1"),
        stanza("c"),
        stanza("d"),
    ]
    assert names(texts) == ["a", "c"]


def test_alternative_that_is_there_already_is_kept(stanza):
    """No second package is brought in for what a chosen one already does."""
    texts = [stanza("a", depends="c, b | c"), stanza("b"), stanza("c")]
    assert names(texts) == ["a", "c"]


def test_provided_names_are_met_by_the_first_provider(stanza):
    """A virtual package is met by the first provider by name, or by one that is there."""
    texts = [stanza("a", depends="v"), stanza("z", provides="v"), stanza("p", provides="v")]
    assert names(texts) == ["a", "p"]
    assert names(texts, roots=("a", "z")) == ["a", "z"]
    texts[0] = stanza("a", depends="z, v")
    assert names(texts) == ["a", "z"]


def test_bound_on_a_provided_name_needs_a_version(stanza):
    """An unversioned provision does not meet a bound; a versioned one may."""
    texts = [
        stanza("a", depends="v (>= 2)"),
        stanza("b", provides="v"),
        stanza("c", provides="v (= 1)"),
        stanza("d", provides="v (= 2.1)"),
    ]
    assert names(texts) == ["a", "d"]
    with pytest.raises(LockError, match=r"a 1.0 needs v \(>= 2\)"):
        names(texts[:3])


def test_every_unmet_need_is_named(stanza):
    """All that is missing is said at once, with who needs it."""
    texts = [stanza("a", "5", depends="b (>= 2), x | y"), stanza("b", "1")]
    with pytest.raises(LockError) as caught:
        names(texts, roots=("a", "r"))
    assert caught.value.problems[0].code == "DEBIAN_UNSOLVABLE"
    for part in ("the base needs r", "a 5 needs b (>= 2)", "a 5 needs x | y"):
        assert part in str(caught.value)


def test_conflicts_are_refused(stanza):
    """Packages of which one breaks the other do not make a root; a package never breaks itself."""
    broken = [stanza("a", depends="b, c"), stanza("b", "1", breaks="c (<< 3)"), stanza("c", "2")]
    with pytest.raises(LockError, match=r"b 1 excludes c \(<< 3\)"):
        names(broken)
    fine = [*broken[:2], stanza("c", "3", provides="v", conflicts="v")]
    assert names(fine) == ["a", "b", "c"]


def test_excluded_dependencies_are_not_followed(stanza):
    """An excluded need is left out for the one package that is named with it."""
    texts = [stanza("a", depends="b, x | y"), stanza("b")]
    assert names(texts, excluded={("a", "y")}) == ["a", "b"]
    with pytest.raises(LockError):
        names(texts, excluded={("b", "y")})


RELATIONS = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefv"), st.sampled_from(["", " (>= 2)", " (<< 2)", " (= 1)"])
        ),
        min_size=1,
        max_size=3,
    ),
    max_size=3,
)
UNIVERSE = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.sampled_from("123"),
        RELATIONS,
        st.sampled_from(["", "v", "v (= 2)"]),
    ),
    min_size=1,
    max_size=10,
    unique_by=lambda item: item[:2],
)


@given(UNIVERSE, st.randoms(use_true_random=False))
def test_order_of_the_index_never_matters(stanza, universe, shuffler: random.Random):
    """Whatever the packages are, their order in the index changes neither result nor refusal."""
    texts = []
    for name, version, needs, provides in universe:
        clauses = ", ".join(" | ".join(f"{n}{bound}" for n, bound in clause) for clause in needs)
        fields = {"depends": clauses} if clauses else {}
        texts.append(
            stanza(name, version, **fields, **({"provides": provides} if provides else {}))
        )
    shuffled = shuffler.sample(texts, len(texts))

    def outcome(order):
        try:
            return closure(index_of(*order), ("a",))
        except LockError as error:
            return str(error)

    first = outcome(texts)
    assert first == outcome(shuffled)
    if not isinstance(first, str):
        chosen = {entry.package.name: entry for entry in first}
        for entry in first:
            for clause in entry.depends:
                assert any(
                    (other.package.name == relation.name and relation.allows(other.package.version))
                    or any(
                        provided.name == relation.name
                        and (not relation.operator or relation.allows(provided.version or "0"))
                        for provided in other.provides
                    )
                    for relation in clause
                    for other in chosen.values()
                )

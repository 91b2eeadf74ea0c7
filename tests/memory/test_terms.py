"""An estimate's terms and moments."""

import pytest

from mealkit.memory.terms import Estimate, Phase, between, exact


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1, 2, 3), (1, 2, 3)),
        ((5, 2, 1), (2, 2, 2)),
        ((-5, -2, -1), (0, 0, 0)),
        ((0.4, 1.6, 2.5), (0, 2, 2)),
    ],
)
def test_an_interval_is_in_order(sizes, expected):
    """Whatever a model states, the least is not above the likely, and nothing is below zero."""
    term = between("t", sizes, "f", "s")
    assert (term.low_bytes, term.likely_bytes, term.high_bytes) == expected


def test_an_exact_term_has_no_interval():
    """Its three sizes are one."""
    term = exact("t", 1.6, "f", "s")
    assert (term.low_bytes, term.likely_bytes, term.high_bytes) == (2, 2, 2)


def test_the_bounds_are_those_of_any_moment():
    """The peak is the likeliest moment, and the bounds need not be its own."""
    first = Phase("loading", (between("a", (1, 5, 20), "", ""), exact("b", 1, "", "")))
    second = Phase("generating", (between("c", (4, 9, 10), "", ""),))
    found = Estimate((first, second))
    assert found.peak is second
    assert found.terms == second.terms
    assert (found.low_bytes, found.likely_bytes, found.high_bytes) == (4, 9, 21)
    form = found.as_json()
    assert (form["peak"], form["high_bytes"]) == ("generating", 21)

"""Kinds of statements have names for people."""

import pytest

from mealkit.trust.verified import PROVENANCE, SBOM, SIGNED, TEST_RESULT, title_of


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        (SIGNED, "signature"),
        (SBOM, "SBOM"),
        (PROVENANCE, "provenance"),
        (TEST_RESULT, "test result"),
        ("https://openvex.dev/ns", "https://openvex.dev/ns"),
    ],
)
def test_a_kind_of_statement_is_named(kind, title):
    """In a word where mealkit writes it itself, else by its type."""
    assert title_of(kind) == title

"""Entries of catalogues, made by hand."""

from collections.abc import Callable

import pytest
from fakes.listed import listed_entry

from mealkit.catalogue.entry import Entry


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    """Make the entry of a kit from its name and what differs."""
    return listed_entry

"""The picture of a kit's memory has the numbers of the preflight's estimate."""

from pathlib import Path

import pytest
from fakes.listed import GIB, needs, on_gpus

from mealkit.catalogue.memory_picture import WIDTH, picture_of
from mealkit.preflight.cards import card_of
from mealkit.recipe.lock import read_lock

_KITS = Path(__file__).parents[2] / "kits"


@pytest.mark.parametrize(("size_gib", "gpus"), [(1, 1), (14, 1), (60, 2), (600, 8)])
def test_the_parts_of_the_bar_are_the_terms_of_the_estimate(size_gib, gpus):
    """They follow one another, end at the likely memory, and stay inside of the picture."""
    found = picture_of(on_gpus(size_gib * GIB, tensor_parallel=gpus))
    assert found.gpus == gpus
    assert sum(part.likely_bytes for part in found.parts) == found.likely_bytes
    ends = [round(part.x + part.width, 1) for part in found.parts]
    assert [part.x for part in found.parts] == [0, *ends[:-1]]
    assert found.low_x <= ends[-1] <= found.high_x <= WIDTH


def test_marks_are_what_an_engine_can_use_of_a_card():
    """So a bar that ends before a mark fits that card."""
    found = picture_of(on_gpus(14 * GIB, utilisation=0.9))
    sizes = {mark.name: mark.size_bytes for mark in found.marks}
    assert sizes["T4"] == int(card_of("T4").memory_bytes * 0.9)
    assert [mark.x for mark in found.marks] == sorted(mark.x for mark in found.marks)
    assert "H200" not in sizes


def test_a_kit_for_processors_is_compared_with_machines():
    """Its marks are sizes of main memory."""
    lock = read_lock((_KITS / "sbert-minilm" / "kit.lock").read_bytes())
    found = picture_of(lock.requirements)
    assert (found.gpus, found.marks[0].name) == (0, "1 GiB")


def test_there_is_no_picture_of_what_is_not_known():
    """A paper's own code states no shape of a model."""
    assert picture_of(needs()) is None

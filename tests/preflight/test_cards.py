"""The table of known GPUs, and how a name finds one."""

import pytest

from mealkit.errors import MealkitError
from mealkit.preflight.cards import CARDS, card_of

GIB = 2**30


@pytest.mark.parametrize("name", ["rtx-4090", "NVIDIA GeForce RTX 4090", "4090"])
def test_a_card_is_known_by_many_names(name):
    """As drivers, shops and people write them."""
    assert card_of(name).name == "RTX 4090"


@pytest.mark.parametrize("name", ["A100", "Voodoo 2", ""])
def test_a_name_that_means_no_card_or_several_is_refused(name):
    """With those that it may mean."""
    with pytest.raises(MealkitError) as caught:
        card_of(name)
    assert caught.value.problems[0].code == "ESTIMATE_UNKNOWN"


def test_cards_are_sound():
    """Names are unique, memory is less than on the box, every one has a source."""
    assert len({card.name for card in CARDS}) == len(CARDS)
    for card in CARDS:
        assert 8 * GIB < card.memory_bytes < 200 * GIB
        assert card.compute_capability >= (6, 0)
        assert card.source

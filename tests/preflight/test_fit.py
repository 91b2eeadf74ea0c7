"""What fits a card: the greatest numbers, and verdicts that leave room for what is not certain."""

from dataclasses import replace

import pytest
from fakes.engines import estimate, usable_bytes

from mealkit.errors import MealkitError
from mealkit.preflight.cards import CARDS, card_of
from mealkit.preflight.fit import (
    Fit,
    fits,
    largest_concurrency,
    largest_context,
    verdict,
)

GIB = 2**30
ENGINES = ("transformers", "vllm", "llama-cpp")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_largest_context_is_the_last_that_fits(engine, shape, setting):
    """One token more does not; nothing reaches beyond the model's own limit."""
    model, one = shape(), setting(engine=engine)
    room = usable_bytes(24 * GIB, one)
    reach = largest_context(model, one, 24 * GIB)
    assert 0 < reach.sure <= reach.likely <= 131072
    for tokens, bound in ((reach.sure, "high_bytes"), (reach.likely, "likely_bytes")):
        at = estimate(model, replace(one, context_tokens=tokens))
        assert getattr(at, bound) <= room
        if tokens < 131072:
            more = estimate(model, replace(one, context_tokens=tokens + 1))
            assert getattr(more, bound) > room


@pytest.mark.parametrize("engine", ENGINES)
def test_the_largest_concurrency_is_the_last_that_fits(engine, shape, setting):
    """Each request with its whole context."""
    model, one = shape(), setting(engine=engine, context_tokens=2048)
    room = usable_bytes(40 * GIB, one)
    reach = largest_concurrency(model, one, 40 * GIB)
    assert 0 < reach.sure <= reach.likely
    more = estimate(model, replace(one, concurrency=reach.likely + 1))
    assert more.likely_bytes > room


def test_nothing_reaches_where_weights_do_not_fit(shape, setting):
    """Zero, not one."""
    reach = largest_context(shape(), setting(), 12 * GIB)
    assert reach.as_json() == {"sure": 0, "likely": 0}


def test_a_model_stops_at_its_own_limit(shape, setting):
    """However large the card."""
    reach = largest_context(shape(max_positions=4096), setting(), 900 * GIB)
    assert (reach.sure, reach.likely) == (4096, 4096)


def test_the_three_verdicts(shape, setting):
    """Above the interval, in it, below it."""
    found = estimate(shape(), setting())
    assert verdict(found, found.high_bytes) is Fit.FITS
    assert verdict(found, found.high_bytes - 1) is Fit.UNCERTAIN
    assert verdict(found, found.low_bytes) is Fit.UNCERTAIN
    assert verdict(found, found.low_bytes - 1) is Fit.DOES_NOT_FIT


def test_known_gpus_are_told_apart(shape, setting):
    """8B in 16 bit with 8192 tokens: not on 16 GB, on 24 GB with vLLM's fraction, and on 80 GB."""
    found = {item.card.name: item.fit for item in fits(shape(), setting(engine="vllm"), CARDS)}
    assert found["T4"] is Fit.DOES_NOT_FIT
    assert found["RTX 4090"] is not Fit.DOES_NOT_FIT
    assert found["A100 80GB"] is Fit.FITS


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

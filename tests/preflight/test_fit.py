"""What fits a card: the greatest numbers, and verdicts that leave room for what is not certain."""

from dataclasses import replace

import pytest
from fakes.engines import estimate, usable_bytes

from mealkit.preflight.cards import CARDS
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

"""Drift from histograms is what scipy computes from values; a window forgets its oldest requests."""

import json
import random

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mealkit.contract.population_drift import (
    MUCH_DRIFT,
    SOME_DRIFT,
    DriftWindow,
    drift_between,
    ks,
    psi,
)
from mealkit.contract.profiler import Profiler
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile

CONTRACT = DataContract.model_validate_json(
    json.dumps(
        {
            "inputs": {
                "text": {"length": {"maximum_characters": 5000}},
                "series": {"range": {"minimum": -1000}},
            },
            "drift_window": 400,
        }
    )
)


def rows(seed, count=1000, *, scale=1.0, shift=0.0):
    generator = random.Random(seed)
    for _ in range(count):
        length = int(generator.lognormvariate(5, 0.5) * scale)
        yield {"text": "x" * length, "series": [generator.gauss(20 + shift, 5) for _ in range(5)]}


def profile_of(data, reference=None, *, is_public=False):
    profiler = Profiler(CONTRACT, reference=reference)
    for row in data:
        profiler.add(row)
    return profiler.profile(is_public=is_public)


def drifts(found):
    return {(item.name, item.measure): item for item in found}


@pytest.mark.parametrize("seed", range(3))
def test_ks_is_that_of_scipy(seed):
    """The statistic of two histograms is scipy's of the values' groups."""
    generator = np.random.default_rng(seed)
    one, two = generator.integers(0, 30, 500), generator.binomial(29, 0.4, 800)
    counts = [np.bincount(values, minlength=30) for values in (one, two)]
    assert ks(*counts) == pytest.approx(ks_2samp(one, two).statistic)


def test_ks_of_groups_is_near_that_of_the_values():
    """Groups lose little: the statistic of lengths is within 0.03 of scipy's on the lengths."""
    values = [
        [len(row["text"]) for row in rows(seed, scale=scale)] for seed, scale in ((1, 1), (2, 1.3))
    ]
    profiles = [profile_of(rows(seed, scale=scale)) for seed, scale in ((1, 1), (2, 1.3))]
    found = drifts(drift_between(*profiles))["text", "characters"]
    assert found.ks == pytest.approx(ks_2samp(*values).statistic, abs=0.03)


def test_psi_is_the_sum_over_groups():
    """The index is the textbook's sum, here with ten groups of a tenth each."""
    before, after = [100] * 10, [50, 150, *[100] * 8]
    shares = [
        ((count + 0.5) / 1005, (now + 0.5) / 1005) for count, now in zip(before, after, strict=True)
    ]
    expected = sum((now - count) * np.log(now / count) for count, now in shares)
    assert psi(before, after) == pytest.approx(expected)
    assert psi(before, before) == 0
    assert psi([0, 0], [0, 0]) == psi([], []) == 0


def test_like_data_has_no_drift_and_other_data_much():
    """New data of the same kind stays below 0.1; longer texts and warmer days are above 0.25."""
    reference = profile_of(rows(1, 2000), is_public=True)
    same = drifts(drift_between(reference, profile_of(rows(2), reference)))
    other = drifts(drift_between(reference, profile_of(rows(3, scale=2, shift=8), reference)))
    for key in (("text", "characters"), ("series", "numbers")):
        assert same[key].psi < SOME_DRIFT < MUCH_DRIFT < other[key].psi
    assert other["text", "missing"].share == 0


def test_missing_values_are_compared():
    """An input that fewer rows have is drift of its own."""
    reference = profile_of(rows(1, 100))
    now = profile_of([{**row, "text": None} for row in rows(2, 50)] + list(rows(3, 50)))
    found = drifts(drift_between(reference, now))["text", "missing"]
    assert (found.share, found.profile_share) == (0.5, 0)


def test_a_window_follows_the_last_requests():
    """The window's drift is that of the last requests, and is none before there are enough."""
    window = DriftWindow(CONTRACT, profile_of(rows(1, 2000)), None)
    for row in rows(2, 99):
        window.add({"text": row["text"]})
    assert window.drift() == {}
    for row in rows(3, 400, scale=2, shift=8):
        window.add(row)
    drifted = window.drift()
    assert min(drifted.values()) > MUCH_DRIFT
    for row in rows(4, 400):
        window.add(row)
    assert max(window.drift().values()) < SOME_DRIFT


def test_a_window_is_bounded():
    """Requests with many different numbers push out older ones before the window is full."""
    contract = CONTRACT.model_copy(update={"drift_window": 1_000_000})
    profile = profile_of(rows(1, 2000))
    edges = profile.inputs["series"].numbers.edges
    spread = {"series": [edge + 1e-9 for edge in edges]}
    window = DriftWindow(contract, profile, None)
    for row in rows(2, 400):
        window.add(row)
    before = window.drift()["series"]
    for _ in range(100_000 // len(edges)):
        window.add(spread)
    only = DriftWindow(contract, profile, None)
    for _ in range(100):
        only.add(spread)
    assert before < SOME_DRIFT
    assert window.drift()["series"] == pytest.approx(only.drift()["series"], rel=0.01)


def test_a_profile_has_no_value_of_the_data():
    """Nothing in a published profile is a text, an extreme number, or a group of few values."""
    data = [*rows(1, 500), {"text": "y" * 77_777, "series": [123456.789, -987.654]}]
    profile = profile_of(data, is_public=True)
    written = profile.model_dump_json()
    for secret in ("yyy", "123456", "987", "77777"):
        assert secret not in written
    for field in profile.inputs.values():
        for found in (field.characters, field.numbers):
            if found:
                assert all(count == 0 or count >= 5 for count in found.counts)
    assert DataProfile.model_validate_json(written) == profile

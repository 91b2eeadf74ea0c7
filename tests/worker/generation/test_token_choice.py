"""Tokens are chosen as straightforward arithmetic says, and without a full sort."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from worker.generation.scripted import sampling

from mealkit.errors import MealkitError
from mealkit.worker.generation.token_choice import Sampler, likeliest, log_probability

# Eighths are exact, and far enough apart that rounding moves no token over a cut.
eighths = some.integers(-160, 160).map(lambda number: number / 8)
vectors = some.lists(eighths, min_size=1, max_size=40)
samplings = some.fixed_dictionaries(
    {
        "temperature": some.sampled_from([0.0, 0.5, 1.0, 2.0]),
        "top_k": some.integers(0, 45),
        "top_p": some.floats(0.05, 1.0),
        "min_p": some.floats(0.0, 1.0),
        "repetition_penalty": some.sampled_from([0.5, 1.0, 2.0]),
        "presence_penalty": some.sampled_from([-0.5, 0.0, 0.75]),
        "frequency_penalty": some.sampled_from([-0.25, 0.0, 0.5]),
        "seed": some.integers(0, 2**63 - 1),
    }
)


class TooNearError(Exception):
    """Rounding could decide: there is nothing to expect."""


def expected(logits, chosen, prompt, said, allowed, drawn, margin=1e-5):
    """Choose a token with lists, sorting all of them; the reference for everything below."""
    logits = list(logits)
    for token in {*prompt, *said}:
        factor = chosen.repetition_penalty
        logits[token] = logits[token] / factor if logits[token] > 0 else logits[token] * factor
    for token, count in Counter(said).items():
        logits[token] -= count * chosen.frequency_penalty + chosen.presence_penalty
    for token, amount in chosen.logit_bias.items():
        logits[token] += amount
    tokens = [token for token in range(len(logits)) if allowed[token]]
    tokens.sort(key=lambda token: (-logits[token], token))
    if chosen.temperature == 0:
        return tokens[0]
    top = logits[tokens[0]]
    weights = {token: math.exp((logits[token] - top) / chosen.temperature) for token in tokens}
    check_distance(weights.values(), chosen.min_p, margin)
    tokens = [token for token in tokens if weights[token] >= chosen.min_p or token == tokens[0]]
    tokens = tokens[: chosen.top_k or None]
    if chosen.top_p < 1:
        total, so_far, kept = sum(weights[token] for token in tokens), 0.0, []
        for token in tokens:
            kept.append(token)
            so_far += weights[token]
            check_distance([so_far], chosen.top_p * total, margin * total)
            if so_far >= chosen.top_p * total:
                break
        tokens = kept
    total, so_far = sum(weights[token] for token in tokens), 0.0
    for token in sorted(tokens):
        so_far += weights[token]
        check_distance([so_far], drawn * total, margin * total)
        if so_far > drawn * total:
            return token
    return max(tokens)


def check_distance(numbers, place, margin):
    """Raise if a number is within rounding of a limit."""
    if any(abs(number - place) <= margin for number in numbers):
        raise TooNearError


def draws(seed, index=0):
    """Return the random numbers that a seed stands for, without end."""
    bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,)))
    while True:
        yield (int(bits.random_raw()) >> 11) / 2**53


@settings(max_examples=400)
@given(vectors, samplings, some.data())
def test_choices_are_those_of_plain_arithmetic(numbers, fields, data):
    """Whatever the settings, three tokens in a row are those that lists and a full sort give."""
    tokens = some.integers(0, len(numbers) - 1)
    prompt = data.draw(some.lists(tokens, max_size=5))
    bias = data.draw(some.dictionaries(tokens, eighths, max_size=3))
    if fields["repetition_penalty"] != 1:
        bias = {}  # its place in the order is tested below
    allowed = np.array(
        data.draw(some.lists(some.booleans(), min_size=len(numbers), max_size=len(numbers)))
    )
    allowed[data.draw(tokens)] = True
    chosen = sampling(**fields, logit_bias=bias)
    sampler = Sampler(chosen, prompt, 0)
    logits = np.array(numbers, np.float32)
    before = logits.copy()
    said = []
    for drawn, _ in zip(draws(fields["seed"]), range(3), strict=False):
        try:
            wanted = expected(numbers, chosen, prompt, said, allowed, drawn)
        except TooNearError:
            assume(False)
        assert sampler.choose(logits, allowed) == wanted
        said.append(wanted)
    assert np.array_equal(logits, before)


def test_the_order_is_bias_before_penalties():
    """The repetition penalty sees the biased logit."""
    logits = np.array([0.0, 2.5], np.float32)
    chosen = sampling(logit_bias={0: 4.0}, repetition_penalty=2.0)
    assert Sampler(chosen, [0], 0).choose(logits) == 1
    assert Sampler(chosen, [], 0).choose(logits) == 0


@given(some.lists(eighths, min_size=1, max_size=300), some.integers(0, 300))
def test_the_likeliest_are_sorted_and_ties_go_by_id(numbers, count):
    """A partial sort gives what a stable full sort begins with."""
    full = sorted(range(len(numbers)), key=lambda token: (-numbers[token], token))
    assert likeliest(np.array(numbers, np.float32), count).tolist() == full[:count]


@given(some.lists(eighths, min_size=1, max_size=300))
def test_probabilities_add_up(numbers):
    """What is taken from the logits makes them logarithms of probabilities that sum to 1."""
    logits = np.array(numbers, np.float32)
    shift = log_probability(logits)
    assert math.fsum(math.exp(number - shift) for number in numbers) == pytest.approx(1, abs=1e-5)


def test_draws_follow_the_probabilities():
    """Over many seeds each token comes as often as its probability says."""
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], np.float32))
    counts = Counter(
        Sampler(sampling(temperature=1.0, seed=seed), [], 0).choose(logits) for seed in range(4000)
    )
    for token, share in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


def test_a_seed_and_a_number_make_an_answer():
    """The same seed and number draw the same tokens; another of either draws others."""
    logits = np.zeros(1000, np.float32)

    def drawn(seed, index):
        sampler = Sampler(sampling(temperature=1.0, seed=seed), [], index)
        return [sampler.choose(logits) for _ in range(5)]

    assert drawn(7, 0) == drawn(7, 0)
    assert len({tuple(drawn(seed, index)) for seed in (7, 8) for index in (0, 1)}) == 4


def test_the_draws_of_a_seed_never_change():
    """These numbers are part of what a kit promises; they do not move with numpy."""
    sampler = Sampler(sampling(temperature=1.0, seed=42), [], 0)
    logits = np.zeros(1_000_000, np.float32)
    assert [sampler.choose(logits) for _ in range(3)] == [916744, 910986, 876592]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_refused(bad, temperature):
    """A NaN is the engine's failure, not a token."""
    logits = np.zeros(10, np.float32)
    logits[3] = bad
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        Sampler(sampling(temperature=temperature), [], 0).choose(logits)


def test_nothing_allowed_is_refused():
    """A constraint that allows no token does not end in one."""
    with pytest.raises(MealkitError, match="ENGINE_ANSWER"):
        Sampler(sampling(), [], 0).choose(np.zeros(4, np.float32), np.zeros(4, bool))


def test_tokens_without_weight_are_never_drawn():
    """A forbidden token stays out at every random number, the largest too."""
    logits = np.array([-np.inf, 0, -np.inf, 0, -np.inf], np.float32)
    for seed in range(200):
        assert Sampler(sampling(temperature=1.0, seed=seed), [], 0).choose(logits) in (1, 3)


def test_a_large_vocabulary_with_a_flat_nucleus():
    """top_p over many equal tokens still takes the fewest, the lowest ids first."""
    logits = np.zeros(150_000, np.float32)
    seen = {
        Sampler(sampling(temperature=1.0, top_p=0.01, seed=seed), [], 0).choose(logits)
        for seed in range(300)
    }
    assert max(seen) < 1500


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "fields", [{"top_p": 0.9}, {"top_p": 0.3}, {"top_k": 700}, {"top_k": 3}, {"min_p": 0.01}, {}]
)
def test_a_large_vocabulary_is_cut_as_a_small_one(seed, fields):
    """What is done to be fast with many tokens gives what lists and a full sort give."""
    numbers = np.round(np.random.default_rng(seed).normal(0, 2, 20_000) * 8) / 8
    chosen = sampling(temperature=1.0, seed=seed, **fields)
    sampler = Sampler(chosen, [], 0)
    allowed = np.ones(numbers.size, bool)
    for drawn, _ in zip(draws(seed), range(5), strict=False):
        try:
            wanted = expected(numbers.tolist(), chosen, [], [], allowed, drawn, margin=2e-7)
        except TooNearError:
            return
        assert sampler.choose(numbers.astype(np.float32)) == wanted

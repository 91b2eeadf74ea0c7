"""Samples one token from logits: penalties, temperature, min_p, top_k, top_p, and a seeded draw.

Raises EngineError for logits that are not numbers. The order is vLLM's (0.33,
vllm/v1/sample/sampler.py), so that a kit means the same on every engine: the schema's allowed
tokens, logit bias, repetition, frequency and presence penalties, temperature, min_p, top_k, top_p,
random draw.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mealkit.errors import failure
from mealkit.worker.generation_values import Sampling

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]

# How many of the most likely tokens are sorted to apply top_p; usually enough.
_FIRST_SORTED = 64
# Bisection steps to narrow the band of weights in which a wide nucleus ends, before sorting it.
_BISECTIONS = 10
# The block size of a vocabulary for partial sums and maxima.
_BLOCK = 512
_GROUP = 64


class Sampler:
    """Samples the tokens of the answer number ``index`` of a request."""

    def __init__(self, sampling: Sampling, prompt: Sequence[int], index: int) -> None:
        self._sampling = sampling
        self._bias = _bias_of(sampling.logit_bias)
        self._is_greedy = sampling.temperature == 0
        self._is_plain = (
            not sampling.logit_bias
            and sampling.repetition_penalty == 1
            and sampling.presence_penalty == 0
            and sampling.frequency_penalty == 0
        )
        self._counts: dict[int, int] = {}
        self._seen: Ids = np.unique(np.asarray(prompt, np.int64))
        # Raw 64-bit numbers, because numpy guarantees the streams of its bit generators across
        # releases, but not those of its distributions (NEP 19).
        self._bits = np.random.PCG64(np.random.SeedSequence(sampling.seed, spawn_key=(index,)))

    def choose(
        self,
        logits: Logits,
        allowed: NDArray[np.bool_] | None = None,
        is_unwanted: Callable[[int], bool] | None = None,
    ) -> int:
        """Return the next token, one of ``allowed`` if given; among equal ones the lowest id.

        An unwanted token is returned only if all allowed ones are. Every token uses exactly one
        random number, unless the temperature is 0, so that earlier tokens do not shift the random
        numbers.

        Raises:
            EngineError: ``ENGINE_ANSWER``, the logits are not numbers, or no token is allowed.
        """
        adjusted = logits if self._is_plain and allowed is None else self._adjusted(logits, allowed)
        best = int(adjusted.argmax())
        # argmax returns the first NaN, so checking this one number is enough.
        if not math.isfinite(adjusted[best]):
            raise failure("ENGINE_ANSWER", "the logits contain infinite values or NaN")
        drawn = 0.0 if self._is_greedy else self._random()
        token = self._drawn(adjusted, best, drawn)
        if is_unwanted and is_unwanted(token):
            token = self._other(adjusted, token, drawn, is_unwanted)
        if not self._is_plain:
            self._note(token)
        return token

    def _other(
        self, logits: Logits, first: int, drawn: float, is_unwanted: Callable[[int], bool]
    ) -> int:
        left, token = logits.copy(), first
        while is_unwanted(token):
            left[token] = -np.inf
            best = int(left.argmax())
            if not math.isfinite(left[best]):
                return first
            token = self._drawn(left, best, drawn)
        return token

    def _note(self, token: int) -> None:
        self._counts[token] = self._counts.get(token, 0) + 1
        if self._counts[token] == 1:
            self._seen = np.union1d(self._seen, [token])

    def _adjusted(self, logits: Logits, allowed: NDArray[np.bool_] | None) -> Logits:
        chosen = self._sampling
        if allowed is None:
            adjusted = logits.copy()
        else:
            adjusted = np.where(allowed, logits, np.float32(-np.inf))
        if self._bias:
            ids, amounts = self._bias
            adjusted[ids] += amounts
        if chosen.repetition_penalty != 1:
            # CTRL's (https://arxiv.org/abs/1909.05858, section 4.1), which divides for either sign.
            # Like later implementations, this multiplies negative logits, so that they also fall.
            found = adjusted[self._seen]
            penalty = np.float32(chosen.repetition_penalty)
            adjusted[self._seen] = np.where(found > 0, found / penalty, found * penalty)
        if self._counts and (chosen.frequency_penalty or chosen.presence_penalty):
            # https://platform.openai.com/docs/advanced-usage#frequency-and-presence-penalties
            ids = np.fromiter(self._counts, np.int64)
            counts = np.fromiter(self._counts.values(), np.float32)
            adjusted[ids] -= counts * np.float32(chosen.frequency_penalty)
            adjusted[ids] -= np.float32(chosen.presence_penalty)
        return adjusted

    def _random(self) -> float:
        # 53 bits give evenly spaced float64 numbers in [0, 1).
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def _drawn(self, logits: Logits, best: int, drawn: float) -> int:
        if self._is_greedy:
            return best
        chosen = self._sampling
        weights = np.exp((logits - logits[best]) / np.float32(chosen.temperature))
        ids = _kept(weights, chosen)
        if ids is not None:
            weights = weights[ids]
        place = _place_of(weights, drawn)
        return place if ids is None else int(ids[place])


def likeliest(logits: Logits, count: int) -> Ids:
    """Return the tokens with the highest logits, highest first, equal ones by id."""
    ids = _top(logits, count)
    return ids[np.lexsort((ids, -logits[ids]))]


def log_probability(logits: Logits) -> float:
    """Return the number to subtract from a logit to get the token's log probability."""
    best = logits.max()
    return float(best) + math.log(float(np.exp(logits - best).sum(dtype=np.float64)))


def _bias_of(bias: Mapping[int, float]) -> tuple[Ids, Logits] | None:
    if not bias:
        return None
    return np.fromiter(bias, np.int64), np.fromiter(bias.values(), np.float32)


def _place_of(weights: Logits, drawn: float) -> int:
    """Return the first place where the running sum of the weights exceeds this share of all."""
    # Block sums first: a running sum over a vocabulary would take too long.
    whole = weights.size // _BLOCK * _BLOCK
    blocks = weights[:whole].reshape(-1, _BLOCK).sum(axis=1, dtype=np.float64)
    ends = np.cumsum(np.append(blocks, weights[whole:].sum(dtype=np.float64)))
    wanted = drawn * float(ends[-1])
    block = _passed(ends, wanted)
    before = float(ends[block - 1]) if block else 0.0
    start = block * _BLOCK
    sums = np.cumsum(weights[start : start + _BLOCK], dtype=np.float64)
    return start + _passed(sums, wanted - before)


def _passed(sums: NDArray[np.float64], wanted: float) -> int:
    # Rounding can reach the very end; tokens without weight there are not sampled.
    return min(
        int(np.searchsorted(sums, wanted, side="right")), int(np.searchsorted(sums, sums[-1]))
    )


def _kept(weights: Logits, chosen: Sampling) -> Ids | None:
    """Return the tokens to sample from, by id; None for all.

    ``weights`` are probabilities, scaled so that the largest is 1.
    """
    ids: Ids | None = None
    if chosen.min_p > 0:  # https://arxiv.org/abs/2407.01082
        ids = np.flatnonzero(weights >= np.float32(chosen.min_p))
    if 0 < chosen.top_k < (weights.size if ids is None else ids.size):
        ids = _among(ids, weights, chosen.top_k)
    if chosen.top_p < 1:  # https://arxiv.org/abs/1904.09751, of the tokens that are left
        ids = _nucleus(weights, ids, chosen.top_p)
    return None if ids is None else np.sort(ids)


def _among(ids: Ids | None, weights: Logits, count: int) -> Ids:
    return _top(weights, count) if ids is None else ids[_top(weights[ids], count)]


def _top(values: Logits, count: int) -> Ids:
    """Return the places of the highest values, in order; the first of equal ones."""
    if count >= values.size:
        return np.arange(values.size)
    if count <= 0:
        return np.empty(0, np.int64)
    low = values
    columns = values.size // _GROUP
    if count < columns // 2:
        # At least ``count`` columns have a maximum that is not below this bound, and so at least
        # as many values are not below it; only these can be the highest.
        maxima = values[: columns * _GROUP].reshape(_GROUP, columns).max(axis=0)
        low = values[values >= np.partition(maxima, columns - count)[columns - count]]
    least = np.partition(low, low.size - count)[low.size - count]
    above = np.flatnonzero(values > least)
    equal = np.flatnonzero(values == least)[: count - above.size]
    return np.sort(np.concatenate((above, equal)))


def _nucleus(weights: Logits, ids: Ids | None, top_p: float) -> Ids:
    """Return the smallest set of the most likely tokens with a share ``top_p`` of all weight."""
    rest = weights if ids is None else weights[ids]
    wanted = top_p * float(rest.sum(dtype=np.float64))
    places = likeliest(rest, _FIRST_SORTED)
    sums = np.cumsum(rest[places], dtype=np.float64)
    if sums[-1] < wanted and places.size < rest.size:
        places = _wide_nucleus(rest, wanted, float(rest[places[-1]]))
    else:
        places = places[: int(np.searchsorted(sums, wanted)) + 1]
    return places if ids is None else ids[places]


def _wide_nucleus(rest: Logits, wanted: float, high: float) -> Ids:
    """Do the same for many tokens, if those above ``high`` are not enough.

    Bisection finds the narrow band of weights in which the set ends; only this band is sorted.
    """
    low = 0.0
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high) if low else high / 16
        if float(rest[rest > middle].sum(dtype=np.float64)) < wanted:
            high = middle
        else:
            low = middle
    sure = np.flatnonzero(rest > high)
    band = np.flatnonzero((rest > low) & (rest <= high))
    band = band[np.argsort(-rest[band], kind="stable")]
    missing = wanted - float(rest[sure].sum(dtype=np.float64))
    count = int(np.searchsorted(np.cumsum(rest[band], dtype=np.float64), missing)) + 1
    return np.concatenate((sure, band[:count]))

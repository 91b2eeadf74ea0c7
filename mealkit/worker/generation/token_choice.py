"""Logits to one token: penalties, temperature, the cuts, and a draw that a seed repeats.

Refuses logits that are not numbers. The order is vLLM's (0.33, vllm/v1/sample/sampler.py), so that
a kit means the same on every engine: what the schema allows, logit bias, repetition, frequency and
presence penalties, temperature, min_p, top_k, top_p, draw.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mealkit.errors import failure
from mealkit.worker.generation_values import Sampling

Logits = NDArray[np.float32]
Ids = NDArray[np.int64]

# How many of the likeliest tokens are sorted when top_p has to find its own: mostly enough.
_FIRST_SORTED = 64
# How often the band of weights in which a wide nucleus ends is halved before it is sorted.
_BISECTIONS = 10
# How a vocabulary is cut up for partial sums and maxima.
_BLOCK = 512
_GROUP = 64


class Sampler:
    """Chooses the tokens of one answer, which is number ``index`` of its request."""

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
        # Raw 64-bit numbers, because numpy keeps the streams of its bit generators between
        # releases, but not what its distributions make of them (NEP 19).
        self._bits = np.random.PCG64(np.random.SeedSequence(sampling.seed, spawn_key=(index,)))

    def choose(self, logits: Logits, allowed: NDArray[np.bool_] | None = None) -> int:
        """Return the next token, of those ``allowed`` if that is given; equals go to the lowest id.

        Every token takes exactly one random number, unless the temperature is 0, so that the
        tokens before do not shift the draws.

        Raises:
            EngineError: ``ENGINE_ANSWER``, the logits are not numbers, or allow nothing.
        """
        adjusted = logits if self._is_plain and allowed is None else self._adjusted(logits, allowed)
        best = int(adjusted.argmax())
        # argmax stops at the first NaN, so this one number speaks for all.
        if not math.isfinite(adjusted[best]):
            raise failure("ENGINE_ANSWER", "the logits hold infinite values or none at all")
        token = best if self._is_greedy else self._draw(adjusted, best)
        if not self._is_plain:
            self._note(token)
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
            # CTRL's (https://arxiv.org/abs/1909.05858, section 4.1), which divides whatever the
            # sign; as everywhere since, a negative logit is multiplied, so that it falls too.
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

    def _draw(self, logits: Logits, best: int) -> int:
        chosen = self._sampling
        # 53 bits make every float64 in [0, 1) of the same spacing.
        drawn = (int(self._bits.random_raw()) >> 11) * 2.0**-53
        weights = np.exp((logits - logits[best]) / np.float32(chosen.temperature))
        ids = _kept(weights, chosen)
        if ids is not None:
            weights = weights[ids]
        place = _place_of(weights, drawn)
        return place if ids is None else int(ids[place])


def likeliest(logits: Logits, count: int) -> Ids:
    """Return the tokens with the highest logits, highest first, equals by id; no full sort."""
    ids = _top(logits, count)
    return ids[np.lexsort((ids, -logits[ids]))]


def log_probability(logits: Logits) -> float:
    """Return what is taken from a logit to make it the logarithm of the token's probability."""
    best = logits.max()
    return float(best) + math.log(float(np.exp(logits - best).sum(dtype=np.float64)))


def _bias_of(bias: Mapping[int, float]) -> tuple[Ids, Logits] | None:
    if not bias:
        return None
    return np.fromiter(bias, np.int64), np.fromiter(bias.values(), np.float32)


def _place_of(weights: Logits, drawn: float) -> int:
    """Return the first place where the sum of the weights so far passes this share of all."""
    # A running sum over a whole vocabulary would take longer than all the rest: by blocks first.
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
    # Rounding can reach the very end; what has no weight there is not drawn.
    return min(
        int(np.searchsorted(sums, wanted, side="right")), int(np.searchsorted(sums, sums[-1]))
    )


def _kept(weights: Logits, chosen: Sampling) -> Ids | None:
    """Return the tokens that may be drawn, by id; None: all.

    ``weights`` are probabilities but for a factor, the largest is 1.
    """
    ids: Ids | None = None
    if chosen.min_p > 0:  # https://arxiv.org/abs/2407.01082
        ids = np.flatnonzero(weights >= np.float32(chosen.min_p))
    if 0 < chosen.top_k < (weights.size if ids is None else ids.size):
        ids = _among(ids, weights, chosen.top_k)
    if chosen.top_p < 1:  # https://arxiv.org/abs/1904.09751, of what the other cuts have left
        ids = _nucleus(weights, ids, chosen.top_p)
    return None if ids is None else np.sort(ids)


def _among(ids: Ids | None, weights: Logits, count: int) -> Ids:
    return _top(weights, count) if ids is None else ids[_top(weights[ids], count)]


def _top(values: Logits, count: int) -> Ids:
    """Return the places of the highest values, by place; of equal ones the first."""
    if count >= values.size:
        return np.arange(values.size)
    if count <= 0:
        return np.empty(0, np.int64)
    low = values
    columns = values.size // _GROUP
    if count < columns // 2:
        # ``count`` columns have a maximum that is not below this, so that as many values are not:
        # only those few can be the highest.
        maxima = values[: columns * _GROUP].reshape(_GROUP, columns).max(axis=0)
        low = values[values >= np.partition(maxima, columns - count)[columns - count]]
    least = np.partition(low, low.size - count)[low.size - count]
    above = np.flatnonzero(values > least)
    equal = np.flatnonzero(values == least)[: count - above.size]
    return np.sort(np.concatenate((above, equal)))


def _nucleus(weights: Logits, ids: Ids | None, top_p: float) -> Ids:
    """Return the fewest likeliest tokens that have ``top_p`` of all the weight together."""
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
    """Do the same where it takes more than a few: those above ``high`` are not enough.

    Bisecting finds a narrow band of weights within which it becomes enough; only that is sorted.
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

"""Computes what fits: the longest context, the most concurrent requests, and the GPUs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mealkit.memory.setting import Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate, Term
from mealkit.preflight.cards import Card

# No current model has a longer context, and no engine answers more concurrent requests.
_MOST_TOKENS = 16 * 1024 * 1024
_MOST_REQUESTS = 65_536


class Fit(StrEnum):
    """The relation of an estimate to a card's memory."""

    FITS = "fits"
    """The upper bound fits."""
    UNCERTAIN = "uncertain"
    """The card's memory is between the lower and the upper bound."""
    DOES_NOT_FIT = "does-not-fit"
    """The lower bound does not fit."""


@dataclass(frozen=True, slots=True)
class Reach:
    """The maximum of a number: for sure, and if the likely estimate is right; 0: nothing fits."""

    sure: int
    likely: int

    def as_json(self) -> dict[str, int]:
        """Return the JSON form."""
        return {"sure": self.sure, "likely": self.likely}


@dataclass(frozen=True, slots=True)
class CardFit:
    """One known GPU: the memory that the engine may use on it, and whether the estimate fits."""

    card: Card
    usable_bytes: int
    fit: Fit


def verdict(found: Estimate | Term, room_bytes: int) -> Fit:
    """Compare an estimate with the memory that the engine may use."""
    if found.high_bytes <= room_bytes:
        return Fit.FITS
    return Fit.UNCERTAIN if found.low_bytes <= room_bytes else Fit.DOES_NOT_FIT


def largest_context(shape: Shape, setting: Setting, memory_bytes: int) -> Reach:
    """Return the longest context that fits into GPUs of this memory, up to the model's own limit.

    Assumes a prompt that fills the context, unless the setting states the prompt's length. An
    engine that reserves its cache is compared with that space, not with the memory.
    """

    def at(tokens: int) -> Estimate | Term:
        prompt = setting.prompt_tokens
        shorter = None if prompt is None else min(prompt, tokens)
        return _needed(shape, replace(setting, context_tokens=tokens, prompt_tokens=shorter))

    return _reach(at, shape.max_positions or _MOST_TOKENS, _room_bytes(setting, memory_bytes))


def largest_concurrency(shape: Shape, setting: Setting, memory_bytes: int) -> Reach:
    """Return how many concurrent requests with a full context fit, likewise."""

    def at(requests: int) -> Estimate | Term:
        return _needed(shape, replace(setting, concurrency=requests))

    return _reach(at, _MOST_REQUESTS, _room_bytes(setting, memory_bytes))


def fits(shape: Shape, setting: Setting, cards: Sequence[Card]) -> list[CardFit]:
    """Return for each card whether the estimate fits, with the setting's number of cards."""
    found: list[CardFit] = []
    for card in cards:
        own = replace(setting, compute_capability=card.compute_capability)
        room = own.engine.usable_bytes(card.memory_bytes, own)
        found.append(CardFit(card, room, verdict(own.engine.estimate(shape, own), room)))
    return found


def _needed(shape: Shape, setting: Setting) -> Estimate | Term:
    """Return what grows with contexts and requests: everything, or a cache of fixed size."""
    if setting.cache_space_bytes is not None and setting.engine.needed_cache:
        return setting.engine.needed_cache(shape, setting)
    return setting.engine.estimate(shape, setting)


def _room_bytes(setting: Setting, memory_bytes: int) -> int:
    if setting.cache_space_bytes is not None:
        return setting.cache_space_bytes
    return setting.engine.usable_bytes(memory_bytes, setting)


def _reach(at: Callable[[int], Estimate | Term], most: int, room_bytes: int) -> Reach:
    return Reach(
        _greatest(lambda number: at(number).high_bytes <= room_bytes, most),
        _greatest(lambda number: at(number).likely_bytes <= room_bytes, most),
    )


def _greatest(holds: Callable[[int], bool], most: int) -> int:
    """Return the greatest number up to ``most`` that fits; every estimate grows with the number."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

"""What fits: the longest context, the most requests at a time, and which GPUs are large enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from mealkit.memory.setting import Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate
from mealkit.preflight.cards import Card

# No model of today reads more, and no engine answers more requests at a time.
_MOST_TOKENS = 16 * 1024 * 1024
_MOST_REQUESTS = 65_536


class Fit(StrEnum):
    """What an interval means against a card's memory."""

    FITS = "fits"
    """Even the most fits."""
    UNCERTAIN = "uncertain"
    """The card's memory lies within the interval."""
    DOES_NOT_FIT = "does-not-fit"
    """Not even the least fits."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a number may go: surely, and if the likely estimate holds; 0: not at all."""

    sure: int
    likely: int

    def as_json(self) -> dict[str, int]:
        """Return the JSON form."""
        return {"sure": self.sure, "likely": self.likely}


@dataclass(frozen=True, slots=True)
class CardFit:
    """One known GPU: what of its memory the engine may use, and whether the estimate fits."""

    card: Card
    usable_bytes: int
    fit: Fit


def verdict(found: Estimate, room_bytes: int) -> Fit:
    """Return what an estimate means against the memory that may be used."""
    if found.high_bytes <= room_bytes:
        return Fit.FITS
    return Fit.UNCERTAIN if found.low_bytes <= room_bytes else Fit.DOES_NOT_FIT


def largest_context(shape: Shape, setting: Setting, memory_bytes: int) -> Reach:
    """Return the longest context that GPUs of this memory hold, up to the model's own limit.

    A prompt is taken to fill the context unless the setting names its length.
    """

    def at(tokens: int) -> Estimate:
        prompt = setting.prompt_tokens
        shorter = None if prompt is None else min(prompt, tokens)
        return setting.engine.estimate(
            shape, replace(setting, context_tokens=tokens, prompt_tokens=shorter)
        )

    return _reach(
        at, shape.max_positions or _MOST_TOKENS, setting.engine.usable_bytes(memory_bytes, setting)
    )


def largest_concurrency(shape: Shape, setting: Setting, memory_bytes: int) -> Reach:
    """Return how many requests at a time, each with a full context, GPUs of this memory hold."""

    def at(requests: int) -> Estimate:
        return setting.engine.estimate(shape, replace(setting, concurrency=requests))

    return _reach(at, _MOST_REQUESTS, setting.engine.usable_bytes(memory_bytes, setting))


def fits(shape: Shape, setting: Setting, cards: Sequence[Card]) -> list[CardFit]:
    """Return for each card whether the estimate fits, with as many cards as the setting names."""
    found: list[CardFit] = []
    for card in cards:
        own = replace(setting, compute_capability=card.compute_capability)
        room = own.engine.usable_bytes(card.memory_bytes, own)
        found.append(CardFit(card, room, verdict(own.engine.estimate(shape, own), room)))
    return found


def _reach(at: Callable[[int], Estimate], most: int, room_bytes: int) -> Reach:
    return Reach(
        _greatest(lambda number: at(number).high_bytes <= room_bytes, most),
        _greatest(lambda number: at(number).likely_bytes <= room_bytes, most),
    )


def _greatest(holds: Callable[[int], bool], most: int) -> int:
    """Return the greatest number up to ``most`` that holds; every estimate grows with it."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low

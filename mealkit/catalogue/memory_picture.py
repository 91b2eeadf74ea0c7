"""The memory estimate of a kit as a picture: where each part of a bar begins, and what fits.

Only numbers: a template draws them as SVG. All sizes are those of the preflight's estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mealkit.engines.registry import traits_of
from mealkit.memory.setting import Setting
from mealkit.memory.terms import GIB, Estimate
from mealkit.preflight.cards import card_of
from mealkit.recipe.kit import Gpu
from mealkit.recipe.requirements import Requirements

WIDTH = 720
"""The width of the picture's coordinates."""
_CARDS = ("T4", "L4", "A100 40GB", "H100 80GB", "H200")
_MACHINES = (1, 2, 4, 8, 16, 32, 64, 128)
_MARGIN = 1.12
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Part:
    """One term of the estimate, as a piece of the bar."""

    name: str
    likely_bytes: int
    low_bytes: int
    high_bytes: int
    formula: str
    x: float
    width: float
    colour: int


@dataclass(frozen=True, slots=True)
class Mark:
    """The memory that a program can use on a known GPU, or a machine's memory."""

    name: str
    size_bytes: int
    x: float
    is_right: bool
    """Whether its name is written to the left of its line, because the picture ends."""
    row: int
    """The row of its name, so that names that are close do not overlap."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The estimate at its largest moment, with its bounds."""

    parts: tuple[Part, ...]
    marks: tuple[Mark, ...]
    low_bytes: int
    likely_bytes: int
    high_bytes: int
    low_x: float
    high_x: float
    gpus: int
    """The number of GPUs of which each needs this memory; 0: it is the machine's memory."""


def picture_of(requirements: Requirements) -> Picture | None:
    """Return the picture for a kit; None if its memory cannot be estimated."""
    demand, shape = requirements.demand, requirements.model
    engine = traits_of(demand.engine).memory if demand else None
    if demand is None or shape is None or engine is None:
        return None
    setting = demand.setting(engine)
    found = engine.estimate(shape, setting)
    on_gpus = requirements.gpu is not Gpu.NONE
    known = _cards(setting) if on_gpus else [(f"{size} GiB", size * GIB) for size in _MACHINES]
    larger = [size for _, size in known if size >= found.high_bytes]
    most_bytes = _MARGIN * min(larger, default=found.high_bytes)

    def x(size_bytes: int) -> float:
        return round(WIDTH * size_bytes / most_bytes, 1)

    return Picture(
        parts=_parts(found, most_bytes),
        marks=_marks([(name, size, x(size)) for name, size in known if size <= most_bytes]),
        low_bytes=found.low_bytes,
        likely_bytes=found.likely_bytes,
        high_bytes=found.high_bytes,
        low_x=x(found.low_bytes),
        high_x=x(found.high_bytes),
        gpus=requirements.gpus,
    )


def _cards(setting: Setting) -> list[tuple[str, int]]:
    cards = map(card_of, _CARDS)
    return [(card.name, setting.engine.usable_bytes(card.memory_bytes, setting)) for card in cards]


def _parts(found: Estimate, most_bytes: float) -> tuple[Part, ...]:
    parts: list[Part] = []
    start_bytes = 0
    for number, term in enumerate(found.terms):
        start, end = (
            round(WIDTH * size / most_bytes, 1)
            for size in (start_bytes, start_bytes + term.likely_bytes)
        )
        parts.append(
            Part(
                name=term.name,
                likely_bytes=term.likely_bytes,
                low_bytes=term.low_bytes,
                high_bytes=term.high_bytes,
                formula=term.formula,
                x=start,
                width=round(end - start, 1),
                colour=number % _COLOURS + 1,
            )
        )
        start_bytes += term.likely_bytes
    return tuple(parts)


def _marks(known: Sequence[tuple[str, int, float]]) -> tuple[Mark, ...]:
    marks: list[Mark] = []
    for name, size_bytes, x in known:
        is_right = x > WIDTH - 110
        close = [mark for mark in marks if abs(mark.x - x) < 110]
        row = 1 - close[-1].row if close else 0
        marks.append(Mark(name, size_bytes, x, is_right, row))
    return tuple(marks)

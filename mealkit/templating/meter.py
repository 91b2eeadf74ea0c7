"""The budget of one rendering, in work and memory, to which every step is charged.

Work is counted, not timed, so that a template with the same values has the same result on every
machine. One unit is about ten nanoseconds. Memory counts every byte that is allocated, even if it
is freed later. Rendering requires a budget.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_EACH_ITEM = 60


class TooCostlyError(Exception):
    """The rendering exceeds its budget."""


class CostMeter:
    """A budget of work and memory, which only decreases."""

    __slots__ = ("memory_bytes", "work")

    def __init__(self, work: int, memory_bytes: int) -> None:
        self.work = work
        """The remaining units."""
        self.memory_bytes = memory_bytes
        """The remaining bytes."""

    def spend(self, work: int, memory_bytes: int = 0) -> None:
        """Subtract from the budget, before the work is done.

        Raises:
            TooCostlyError: the budget is not sufficient.
        """
        self.work -= work
        self.memory_bytes -= memory_bytes
        if self.work < 0 or self.memory_bytes < 0:
            raise TooCostlyError


_CURRENT: ContextVar[CostMeter] = ContextVar("mealkit_template_meter")


@contextmanager
def charged_to(meter: CostMeter) -> Iterator[None]:
    """Charge the renderings of this thread to a budget."""
    token = _CURRENT.set(meter)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def spend(work: int, memory_bytes: int = 0) -> None:
    """Charge the current rendering.

    Raises:
        TooCostlyError: the budget is not sufficient.
        LookupError: no rendering is in progress.
    """
    # Inlined instead of `CostMeter.spend`, because a small loop spends most of its time here.
    meter = _CURRENT.get()
    meter.work -= work
    meter.memory_bytes -= memory_bytes
    if meter.work < 0 or meter.memory_bytes < 0:
        raise TooCostlyError


def spend_first(work: int) -> bool:
    """Charge for the rest of a condition; returns True, so that it can be joined with ``and``."""
    spend(work)
    return True


def counted(items: Iterable[Any]) -> Iterator[Any]:
    """Yield items and charge for each."""
    for item in items:
        spend(_EACH_ITEM)
        yield item

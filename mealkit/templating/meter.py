"""What one rendering may cost: a budget of work and of memory that every step is charged to.

Work is counted, not timed, so that a template and its values give the same outcome on every
machine. One unit is about ten nanoseconds. Memory counts every byte that is made, whether or not
it is freed again. Nothing can be rendered without a budget.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_EACH_ITEM = 60


class TooCostlyError(Exception):
    """The budget is used up."""


class CostMeter:
    """A budget; what is spent is gone."""

    __slots__ = ("memory_bytes", "work")

    def __init__(self, work: int, memory_bytes: int) -> None:
        self.work = work
        """The units that are left."""
        self.memory_bytes = memory_bytes
        """The bytes that are left."""

    def spend(self, work: int, memory_bytes: int = 0) -> None:
        """Take something out of the budget, before it is used.

        Raises:
            TooCostlyError: there is not as much.
        """
        self.work -= work
        self.memory_bytes -= memory_bytes
        if self.work < 0 or self.memory_bytes < 0:
            raise TooCostlyError


_CURRENT: ContextVar[CostMeter] = ContextVar("mealkit_template_meter")


@contextmanager
def charged_to(meter: CostMeter) -> Iterator[None]:
    """Charge what this thread renders to a budget."""
    token = _CURRENT.set(meter)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def spend(work: int, memory_bytes: int = 0) -> None:
    """Charge the current rendering.

    Raises:
        TooCostlyError: its budget is used up.
        LookupError: nothing is being rendered.
    """
    # Written out, not called: this is most of what a small loop does.
    meter = _CURRENT.get()
    meter.work -= work
    meter.memory_bytes -= memory_bytes
    if meter.work < 0 or meter.memory_bytes < 0:
        raise TooCostlyError


def spend_first(work: int) -> bool:
    """Charge for what stands behind this in a condition."""
    spend(work)
    return True


def counted(items: Iterable[Any]) -> Iterator[Any]:
    """Hand items on and charge for each."""
    for item in items:
        spend(_EACH_ITEM)
        yield item

"""The memory that an engine takes, by the formula in the engine's own folder."""

from importlib import import_module
from typing import Protocol, cast

from mealkit.memory.setting import Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import Estimate


class Formula(Protocol):
    """What an engine's module ``memory`` has."""

    def estimate(self, shape: Shape, setting: Setting) -> Estimate:
        """Return the memory that serving a model needs of each GPU, at its worst moment."""

    def usable_bytes(self, memory_bytes: int, setting: Setting) -> int:
        """Return how much of a GPU's memory the engine lets itself use."""


def formula_of(engine: str) -> Formula:
    """Return an engine's formula; it is in the image of each kit that has the engine."""
    module = import_module(f"mealkit.engines.{engine.replace('-', '_')}.memory")
    return cast(Formula, module)


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Return the memory that serving a model needs of each GPU, at its worst moment."""
    return formula_of(setting.engine).estimate(shape, setting)


def usable_bytes(memory_bytes: int, setting: Setting) -> int:
    """Return how much of a GPU's memory the engine lets itself use."""
    return formula_of(setting.engine).usable_bytes(memory_bytes, setting)

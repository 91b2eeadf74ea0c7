"""Fixtures of the memory estimator, which fitting is tested with too."""

from memory.conftest import setting, shape

__all__ = ["setting", "shape"]

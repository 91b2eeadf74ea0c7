"""Whole numbers as JSON Schema has them: 1.0 is one; true is none."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from mealkit.worker.interface import LARGEST_SEED


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)

Seed = Annotated[int | None, Field(ge=0, le=LARGEST_SEED), WHOLE]
"""A caller's seed; None: the kit's."""

"""What all facts have in common: they are frozen, they travel as JSON, and they admit ignorance."""

from pydantic import BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """Something read from a machine.

    A value that is None with a reason in ``unknown`` could not be read; None without a reason means
    that there is no such thing (no limit, no such part).
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    unknown: dict[str, str] = Field(default_factory=dict)
    """Why fields could not be read, or not completely: their names and the reasons."""

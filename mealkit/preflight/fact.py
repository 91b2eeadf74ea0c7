"""The base class of all facts: frozen, convertible to JSON, and with reasons for unknown values."""

from pydantic import BaseModel, ConfigDict, Field


class Fact(BaseModel):
    """A fact about a machine.

    A value that is None with a reason in ``unknown`` could not be read; None without a reason means
    that the thing does not exist (no limit, no such part).
    """

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    unknown: dict[str, str] = Field(default_factory=dict)
    """The reasons why fields could not be read, or only in part, by the fields' names."""

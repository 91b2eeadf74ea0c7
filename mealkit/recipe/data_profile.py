"""The profile of the data that a kit was made for: counts and bounds, never a value of the data.

A profile is published with the kit. So it has no text, no token, no smallest or largest number, and
no group of few values.
"""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.recipe.data_contract import Language
from mealkit.strings import Line

MAX_PROFILE_BYTES = 1024 * 1024
MAX_PROFILED = 100
"""The most inputs of a profile, as of a contract."""

Count = Annotated[int, Field(ge=0, le=2**53)]


class Histogram(StrictModel):
    """How many values are between two edges."""

    edges: Annotated[Annotated[tuple[FiniteFloat, ...], Field(max_length=200)], KEEPS_ANSWERS]
    """The bounds of the groups, ascending. A value on an edge is in the group above it."""
    counts: Annotated[Annotated[tuple[Count, ...], Field(max_length=201)], KEEPS_ANSWERS]
    """The values of each group: below the first edge, between the edges, above the last one."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a histogram has one count more than edges")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a histogram ascend")
        return self

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts)


class FieldProfile(StrictModel):
    """The values of one input."""

    values: Annotated[Count, KEEPS_ANSWERS]
    """The rows with a value."""
    missing: Annotated[Count, KEEPS_ANSWERS]
    """The rows without one."""
    characters: Annotated[Histogram | None, KEEPS_ANSWERS] = None
    """The lengths of texts in characters."""
    tokens: Annotated[Histogram | None, KEEPS_ANSWERS] = None
    """The lengths of texts in tokens of the kit's tokenizer."""
    token_ids: Annotated[Histogram | None, KEEPS_ANSWERS] = None
    """The numbers of tokens in the vocabulary, where rare tokens are usually last."""
    unknown_tokens: Annotated[Annotated[FiniteFloat, Field(ge=0, le=1)] | None, KEEPS_ANSWERS] = (
        None
    )
    """The share of tokens that the tokenizer does not know."""
    numbers: Annotated[Histogram | None, KEEPS_ANSWERS] = None
    """The numbers."""
    languages: Annotated[
        Annotated[dict[Language | Literal["other"], Count], Field(max_length=200)], KEEPS_ANSWERS
    ] = Field(default_factory=dict)
    """The texts by language, where the contract has a rule for languages."""


class DataProfile(StrictModel):
    """The data of a kit, as statistics."""

    version: Annotated[Literal[1], KEEPS_ANSWERS] = 1
    """The version of this format."""
    rows: Annotated[Count, KEEPS_ANSWERS]
    """The rows that were read."""
    inputs: Annotated[
        Annotated[dict[Line, FieldProfile], Field(max_length=MAX_PROFILED)], KEEPS_ANSWERS
    ]
    """The statistics of each input of the contract."""

"""The system prompt that a kit pins: one of its prompts, and where it goes in a conversation."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from mealkit.recipe.answers import DECIDES_ANSWERS, StrictModel
from mealkit.strings import Name, Variable

MAX_VALUE_CHARACTERS = 65_536


class Placement(StrEnum):
    """What happens to a kit's system prompt where a caller sends a system message, too."""

    BEFORE = "before"
    """It comes before the caller's own, in one message with it."""
    INSTEAD = "instead"
    """It takes the place of all of the caller's own."""
    DEFAULT = "default"
    """The caller's own takes its place."""


class SystemPrompt(StrictModel):
    """The system prompt of every conversation."""

    prompt: Annotated[Name, DECIDES_ANSWERS]
    """The name of one of the kit's prompts."""
    placement: Annotated[Placement, DECIDES_ANSWERS]
    """Where a caller sends system messages, too: before (the kit's text, then the caller's),
    instead (the kit's text only), or default (the caller's only)."""
    values: Annotated[
        dict[Variable, Annotated[str, StringConstraints(max_length=MAX_VALUE_CHARACTERS)]],
        DECIDES_ANSWERS,
    ] = Field(default_factory=dict)
    """A text for each variable of the prompt. Clients of a chat know nothing of variables, so the
    kit gives all of them."""

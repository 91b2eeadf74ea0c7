"""What a kit's inputs must be like: the data contract of a kit and of its lock."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, JsonValue, model_validator

from mealkit.recipe.answers import CHANGES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.recipe.claims import Column
from mealkit.strings import Line, RelativePath


class Action(StrEnum):
    """What a violation of a rule causes."""

    REFUSE = "refuse"
    """The request is refused with 422."""
    WARN = "warn"
    """The request is answered, with a header and a count."""
    OFF = "off"
    """Nothing."""


Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
"""A language by its code in ISO 639."""


def _ascend(low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"the minimum {low} is above the maximum {high}")


class Rule(StrictModel):
    """A rule of an input."""

    action: Annotated[Action, CHANGES_ANSWERS] = Action.REFUSE
    """refuse (422), warn (a header and a count), or off."""


class SchemaRule(Rule):
    """The value is valid by a JSON Schema, or each item of a list, if the schema is not for lists.

    That is so if its type is stated and is not array.
    """

    schema_: Annotated[dict[str, JsonValue], Field(alias="schema"), CHANGES_ANSWERS]
    """The JSON Schema (2020-12); without references to other documents."""


class LanguageRule(Rule):
    """The text is in one of the languages that the kit was made for."""

    allowed: Annotated[
        Annotated[tuple[Language, ...], Field(min_length=1, max_length=100)], CHANGES_ANSWERS
    ]
    """The languages, by their codes in ISO 639: en, de."""
    least_characters: Annotated[Annotated[int, Field(ge=1, le=10000)], CHANGES_ANSWERS] = 40
    """Shorter texts are not judged: their language cannot be told."""


class LengthRule(Rule):
    """The text has a number of characters or of the model's tokens within bounds."""

    minimum_characters: Annotated[Annotated[int, Field(ge=0)] | None, CHANGES_ANSWERS] = None
    """The fewest characters."""
    maximum_characters: Annotated[Annotated[int, Field(ge=0)] | None, CHANGES_ANSWERS] = None
    """The most characters."""
    minimum_tokens: Annotated[Annotated[int, Field(ge=0)] | None, CHANGES_ANSWERS] = None
    """The fewest tokens of the model's tokenizer."""
    maximum_tokens: Annotated[Annotated[int, Field(ge=0)] | None, CHANGES_ANSWERS] = None
    """The most tokens of the model's tokenizer."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        _ascend(self.minimum_characters, self.maximum_characters)
        _ascend(self.minimum_tokens, self.maximum_tokens)
        return self


class RangeRule(Rule):
    """A number, or each number of a list, is within bounds."""

    minimum: Annotated[FiniteFloat | None, CHANGES_ANSWERS] = None
    """The smallest number."""
    maximum: Annotated[FiniteFloat | None, CHANGES_ANSWERS] = None
    """The largest number."""
    unit: Annotated[Line | None, CHANGES_ANSWERS] = None
    """The unit of the numbers, such as "degrees Celsius", for messages and people."""

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        _ascend(self.minimum, self.maximum)
        return self


class AgeRule(Rule):
    """A date is not older than some days."""

    maximum_days: Annotated[Annotated[int, Field(ge=0, le=100000)], CHANGES_ANSWERS]
    """The most days between the date and today."""
    member: Annotated[Line, CHANGES_ANSWERS] = "date"
    """The member with the date, where the input is an object or a list of objects."""


class ProvenanceRule(Rule):
    """An object, or each object of a list, states where it is from."""

    required: Annotated[
        Annotated[tuple[Line, ...], Field(min_length=1, max_length=20)], CHANGES_ANSWERS
    ]
    """The fields that must be there and not empty, such as source, date, license."""


class TextQualityRule(Rule):
    """The text is whole: readable characters, no text that repeats itself, no signs of a scan."""

    undecodable: Annotated[Share | None, CHANGES_ANSWERS] = None
    """The largest share of characters that could not be decoded (U+FFFD, control characters)."""
    repeated: Annotated[Share | None, CHANGES_ANSWERS] = None
    """The largest share of lines or sentences that the text has already had."""
    mojibake: Annotated[Share | None, CHANGES_ANSWERS] = None
    """The largest share of characters that come from a wrong encoding, such as Ã¤ for ä."""
    broken_hyphenation: Annotated[Share | None, CHANGES_ANSWERS] = None
    """The largest share of lines that end in the middle of a hyphenated word."""
    ocr_noise: Annotated[Share | None, CHANGES_ANSWERS] = None
    """The largest share of words that look like errors of character recognition, such as l0ve."""


class DuplicateRule(Rule):
    """No two texts of a list in one request are nearly the same."""

    similarity: Annotated[Share, CHANGES_ANSWERS] = 0.9
    """From which share of common word sequences on two texts are nearly the same."""


class InputContract(StrictModel):
    """The rules for one input. A rule that is left out is off."""

    schema_: Annotated[SchemaRule | None, Field(alias="schema"), CHANGES_ANSWERS] = None
    """The value's JSON Schema."""
    languages: Annotated[LanguageRule | None, CHANGES_ANSWERS] = None
    """The languages of the text."""
    length: Annotated[LengthRule | None, CHANGES_ANSWERS] = None
    """The length of the text."""
    range: Annotated[RangeRule | None, CHANGES_ANSWERS] = None
    """The bounds of numbers, and their unit."""
    age: Annotated[AgeRule | None, CHANGES_ANSWERS] = None
    """How old a date may be."""
    provenance: Annotated[ProvenanceRule | None, CHANGES_ANSWERS] = None
    """What an object must state about where it is from."""
    quality: Annotated[TextQualityRule | None, CHANGES_ANSWERS] = None
    """The state of the text."""
    duplicates: Annotated[DuplicateRule | None, CHANGES_ANSWERS] = None
    """Texts of a list that are nearly the same."""
    column: Annotated[Column | None, KEEPS_ANSWERS] = None
    """The column of data files with this input, for mealkit fit; the input's name, if left out."""


RULES = tuple(name for name in InputContract.model_fields if name != "column")
"""The rules of an input, by the names of their fields."""


class DataContract(StrictModel):
    """What a kit's inputs must be like."""

    inputs: Annotated[
        Annotated[dict[Line, InputContract], Field(min_length=1, max_length=100)], CHANGES_ANSWERS
    ]
    """The rules of each input, by its name in the request: input, query, documents, messages,
    prompt, or a field of the paper's own code. For lists, they hold for each item."""
    profile: Annotated[RelativePath | None, KEEPS_ANSWERS] = None
    """The file with statistics of the data that the kit was made for (mealkit fit --profile)."""
    drift_window: Annotated[Annotated[int, Field(ge=100, le=1000000)], KEEPS_ANSWERS] = 1000
    """How many of the last requests the gateway compares with the profile."""
    answers: Annotated[ProvenanceRule | None, CHANGES_ANSWERS] = None
    """What each citation in an answer must state. No engine of mealkit cites yet: the field is for
    kits whose own code does."""

    @model_validator(mode="after")
    def _has_rules(self) -> Self:
        for name, rules in self.inputs.items():
            if all(getattr(rules, rule) is None for rule in RULES):
                raise ValueError(f"inputs.{name} has no rule")
        return self

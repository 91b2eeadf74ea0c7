"""Golden examples of a kit: a request, and what must come out. None of them changes an answer."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import (
    Field,
    FiniteFloat,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from mealkit.digest import Digest, canonical_json
from mealkit.recipe.answers import KEEPS_ANSWERS, StrictModel
from mealkit.recipe.claims import Pointer
from mealkit.recipe.locked_file import LockedFile
from mealkit.strings import Document, Line, Name, RelativePath, Text

MAX_CASES = 1000
"""The most cases of a kit."""


Endpoint = Annotated[str, Field(pattern=r"^/v[0-9]/[a-z/]{1,60}$")]
"""The path of one of the kit's endpoints."""


class Expectation(StrictModel):
    """One thing that an answer must be: exactly one of its forms, for the value at ``at``.

    The value is what the kit answers: the text of a generation, the vector of a text (or the list
    of vectors), the label of a text, the order of the documents, or the output of the paper's code.
    """

    at: Annotated[Pointer, KEEPS_ANSWERS] = ""
    """Where in the answer, as a JSON Pointer; the whole answer, if left out."""
    equals: Annotated[JsonValue, KEEPS_ANSWERS] = None
    """The same value."""
    contains: Annotated[Document | None, KEEPS_ANSWERS] = None
    """A text in which this one is, or a list with this text."""
    matches: Annotated[Document | None, KEEPS_ANSWERS] = None
    """A text in which this regular expression is found (Rust's syntax, which takes linear time)."""
    schema_: Annotated[dict[str, JsonValue] | None, Field(alias="schema"), KEEPS_ANSWERS] = None
    """A value that this JSON Schema (2020-12) accepts."""
    close: Annotated[FiniteFloat | tuple[FiniteFloat, ...] | None, KEEPS_ANSWERS] = None
    """A number, or numbers, that differ by at most ``within``."""
    within: Annotated[Annotated[FiniteFloat, Field(ge=0)] | None, KEEPS_ANSWERS] = None
    """The largest difference for ``close``."""
    cosine: Annotated[tuple[FiniteFloat, ...] | None, KEEPS_ANSWERS] = None
    """A vector whose cosine with this one is at least ``at_least``."""
    at_least: Annotated[Annotated[FiniteFloat, Field(ge=-1, le=1)] | None, KEEPS_ANSWERS] = None
    """The smallest cosine."""

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        forms = {"equals", "contains", "matches", "schema_", "close", "cosine"}
        if len(forms & self.model_fields_set) != 1:
            raise ValueError("write one of: equals, contains, matches, schema, close, cosine")
        for form, bound in (("close", "within"), ("cosine", "at_least")):
            if (getattr(self, form) is None) != (getattr(self, bound) is None):
                raise ValueError(f"{form} and {bound} belong together")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # `equals: null` says something, and a missing `equals` does not.
        form: dict[str, Any] = handler(self)
        stated = {name.removesuffix("_") for name in self.model_fields_set}
        return {name: value for name, value in form.items() if name.removesuffix("_") in stated}


class Case(StrictModel):
    """A golden example: a request, and what must come out."""

    name: Annotated[Name, KEEPS_ANSWERS]
    """The case's name: lower-case letters, digits, dots and dashes."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """What the case shows, in a sentence."""
    endpoint: Annotated[Endpoint | None, KEEPS_ANSWERS] = None
    """The endpoint, such as /v1/completions; the task's first one, if left out."""
    request: Annotated[dict[Line, JsonValue], KEEPS_ANSWERS]
    """The body of the request, without ``model``."""
    files: Annotated[dict[Line, RelativePath], KEEPS_ANSWERS] = Field(default_factory=dict)
    """Files of the kit for fields of the input of the paper's own code, by the field's name."""
    expect: Annotated[Annotated[tuple[Expectation, ...], Field(max_length=100)], KEEPS_ANSWERS] = ()
    """What the answer must be; empty: any answer that is no error."""


Cases = Annotated[tuple[Case, ...], Field(max_length=MAX_CASES)]


def cases_digest(cases: Cases, files: Sequence[LockedFile] = ()) -> Digest:
    """Return the digest of cases: it differs as soon as one of them asks or expects otherwise.

    ``files`` are those that the cases name.
    """
    forms = [case.model_dump(mode="json", by_alias=True) for case in cases]
    digests = {file.path: file.sha256 for file in files}
    return Digest.of(canonical_json({"cases": forms, "files": digests}))

"""Parts of a lock: whose kit it is, its prompts and code in full, and what was asked for."""

from typing import Annotated, Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from mealkit.digest import Digest
from mealkit.recipe.answers import DECIDES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.recipe.kit import Contact, Paper
from mealkit.recipe.locked_file import LockedFile
from mealkit.strings import Document, Line, LoosePath, Name, Text, Variable, Version


class About(StrictModel):
    """Information for people; nothing here changes an answer."""

    name: Annotated[Name, KEEPS_ANSWERS]
    """The kit's name."""
    version: Annotated[Version, KEEPS_ANSWERS]
    """The kit's version."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """The purpose of the kit."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the kit's own files."""
    paper: Annotated[Paper | None, KEEPS_ANSWERS] = None
    """The paper that the kit implements."""
    owner: Annotated[Contact, KEEPS_ANSWERS]
    """The team to contact when the kit fails."""


class LockedPrompt(StrictModel):
    """A prompt template, in full."""

    file: Annotated[LoosePath, KEEPS_ANSWERS]
    """The prompt's path in the kit's folder."""
    sha256: Annotated[Digest, DECIDES_ANSWERS]
    """The digest of the prompt's text."""
    text: Annotated[Document, DECIDES_ANSWERS]
    """The template's text, so that two locks can be compared line by line."""
    variables: Annotated[tuple[Variable, ...], DECIDES_ANSWERS] = ()
    """The template's variables."""


class LockedCode(StrictModel):
    """A file of the paper's own code, in full."""

    sha256: Annotated[Digest, DECIDES_ANSWERS]
    """The digest of the file's text."""
    text: Annotated[Document, DECIDES_ANSWERS]
    """The file's text."""


class Requests(StrictModel):
    """Digests of the kit's own entries, part by part; a lock is stale if one of them differs."""

    weights: Annotated[Digest, KEEPS_ANSWERS]
    """The digest of ``model.weights``."""
    packages: Annotated[Digest, KEEPS_ANSWERS]
    """The digest of the engine's package requirements."""
    gateway: Annotated[Digest | None, KEEPS_ANSWERS] = None
    """The digest of the gateway's package requirements: a newer mealkit does not change the engine.
    Null in older locks, which had one digest for both."""
    base: Annotated[Digest, KEEPS_ANSWERS]
    """The digest of ``runtime.base`` and of the Python version."""
    datasets: Annotated[dict[Name, Digest], KEEPS_ANSWERS] = Field(default_factory=dict)
    """The digest of each entry of ``datasets``, by its name."""
    test_packages: Annotated[Digest | None, KEEPS_ANSWERS] = None
    """The digest of the package requirements of the kit's tests; null if the image has none."""

    @model_serializer(mode="wrap")
    def _without_what_is_rare(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Locks from before these fields existed must stay the same.
        form: dict[str, Any] = handler(self)
        return {name: value for name, value in form.items() if value or name not in _RARE}


_RARE = frozenset({"datasets", "test_packages"})

CaseFiles = Annotated[tuple[LockedFile, ...], Field(max_length=200)]

"""The endpoints that tell of the kit without asking its engine, as OpenAPI describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from mealkit.runtime.api.reading import AnswerPart


class ModelCard(AnswerPart):
    """The one model."""

    id: str
    """Its name."""
    object: Literal["model"]
    """The kind of answer."""
    created: Literal[0]
    """Nothing in an image has a time."""
    owned_by: str
    """The team that owns the kit."""


class ModelList(AnswerPart):
    """The models: one."""

    object: Literal["list"]
    """The kind of answer."""
    data: list[ModelCard]
    """The one model."""


class Metadata(AnswerPart):
    """What the kit is, whose, exactly which, and how much it takes."""

    kit: dict[str, Any]
    """Name, version, paper, licence."""
    owner: dict[str, str]
    """Who answers for it."""
    recipe: str
    """The recipe digest."""
    image: str | None
    """The image's digest, if it was stated at the start."""
    model: dict[str, Any]
    """Name, licence, task, and every file with its SHA-256."""
    engine: dict[str, Any]
    """Name, settings, features."""
    hyperparameters: dict[str, Any]
    """Every one."""
    overrides: dict[str, Any]
    """Those that a caller may set, with their bounds."""
    prompts: dict[str, Any]
    """The prompts' digests and variables, by name."""
    limits: dict[str, Any]
    """How much a caller may ask for."""
    endpoints: list[str]
    """The paths that there are."""


class Manifest(AnswerPart):
    """The kit's lock, as it is in the image; of its own code it has the digests alone."""

    recipe: str
    """The recipe digest."""
    lock_version: str
    """The version of the format."""


class Licences(AnswerPart):
    """The licences of kit and model."""

    kit: dict[str, str]
    """The kit's name and licence."""
    model: dict[str, Any]
    """The model's name and licence, with the texts among its files."""


class Readiness(AnswerPart):
    """Whether requests will be answered, and if not, why and whose problem it is."""

    status: str
    """The state."""
    reason: str
    """Why it is so."""
    problem: dict[str, Any] | None
    """The last problem, until the kit is ready again."""


class Liveness(AnswerPart):
    """The process runs."""

    status: str
    """The state."""


class Description(AnswerPart):
    """This description."""

    openapi: str
    """The version of OpenAPI."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """An endpoint that tells of the kit."""

    path: str
    summary: str
    answer: type[BaseModel] | None
    statuses: Mapping[int, str]
    content_type: str = "application/json"


_FINE = {200: "The answer."}

KNOWLEDGE: tuple[Knowledge, ...] = (
    Knowledge("/v1/models", "List the one model", ModelList, _FINE),
    Knowledge("/v1/models/{name}", "Describe the one model", ModelCard, _FINE),
    Knowledge("/v1/metadata", "Tell what this kit is", Metadata, _FINE),
    Knowledge("/v1/manifest", "Give the kit's lock; of its own code the digests", Manifest, _FINE),
    Knowledge("/v1/license", "Tell the licences of kit and model", Licences, _FINE),
    Knowledge("/v1/health/live", "Tell that the process runs", Liveness, _FINE),
    Knowledge(
        "/v1/health/ready",
        "Tell whether requests will be answered",
        Readiness,
        {200: "They will.", 503: "They will not, and why."},
    ),
    Knowledge("/metrics", "Give the counters", None, _FINE, "text/plain"),
    Knowledge("/openapi.json", "Describe this kit's API", Description, _FINE),
    Knowledge("/docs", "Show this kit's API to people", None, _FINE, "text/html"),
)

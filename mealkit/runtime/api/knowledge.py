"""The endpoints that describe the kit without using its engine, for the OpenAPI description."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from mealkit.runtime.api.reading import AnswerPart


class ModelCard(AnswerPart):
    """The one model."""

    id: str
    """The model's name."""
    object: Literal["model"]
    """The kind of answer."""
    created: Literal[0]
    """Always 0: nothing in an image has a time."""
    owned_by: str
    """The team that owns the kit."""


class ModelList(AnswerPart):
    """The list of the model's names: its own, then its aliases."""

    object: Literal["list"]
    """The kind of answer."""
    data: list[ModelCard]
    """The one model."""


class Metadata(AnswerPart):
    """The kit's name, owner, exact versions and limits."""

    kit: dict[str, Any]
    """Name, version, paper, licence."""
    owner: dict[str, str]
    """The team that is responsible for the kit."""
    recipe: str
    """The recipe digest: of everything that can change an answer."""
    salt: str
    """The salt digest: of what decides an answer in the first place."""
    image: str | None
    """The image's digest, if it was stated at the start."""
    model: dict[str, Any]
    """Name, licence, task, and every file with its SHA-256."""
    engine: dict[str, Any]
    """Name, settings, features."""
    hyperparameters: dict[str, Any]
    """All hyperparameters."""
    overrides: dict[str, Any]
    """The hyperparameters that callers may set, with their bounds."""
    prompts: dict[str, Any]
    """The prompts' digests and variables, by name."""
    system_prompt: dict[str, Any] | None
    """The prompt that every conversation begins with, and its placement; null without one."""
    limits: dict[str, Any]
    """The limits for requests."""
    endpoints: list[str]
    """The paths of the endpoints that use the engine."""


class Manifest(AnswerPart):
    """The kit's lock, as it is in the image, with digests instead of the texts of its code."""

    recipe: str
    """The recipe digest."""
    salt: str | None = None
    """The salt digest; older locks do not state it."""
    lock_version: str
    """The version of the lock's format."""


class Licences(AnswerPart):
    """The licences of kit and model."""

    kit: dict[str, str]
    """The kit's name and licence."""
    model: dict[str, Any]
    """The model's name and licence, with the texts among its files."""


class Readiness(AnswerPart):
    """Whether the kit is ready for requests, and if not, the reason and the problem's owner."""

    status: str
    """The kit's status."""
    reason: str
    """The reason for the status."""
    problem: dict[str, Any] | None
    """The last problem, until the kit is ready again."""


class Liveness(AnswerPart):
    """Shows that the gateway's process runs."""

    status: str
    """The kit's status."""


class Start(AnswerPart):
    """Where things are: the addresses of the page, the description and the endpoints."""

    kit: str
    """The kit's name and version."""
    model: str
    """The model's name, as requests have it."""
    docs: str
    """The page for people: try the kit, and read what it is."""
    openapi: str
    """The OpenAPI description."""
    metadata: str
    """The exact versions and limits."""
    ready: str
    """Whether the kit is ready."""
    endpoints: list[str]
    """The endpoints that use the engine."""


class Description(AnswerPart):
    """The OpenAPI description of this kit."""

    openapi: str
    """The version of OpenAPI."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """An endpoint that describes the kit."""

    path: str
    summary: str
    answer: type[BaseModel] | None
    statuses: Mapping[int, str]
    content_type: str = "application/json"


_FINE = {200: "The answer."}

KNOWLEDGE: tuple[Knowledge, ...] = (
    Knowledge("/", "Say where things are; a browser gets the page", Start, _FINE),
    Knowledge("/v1/models", "List the one model, under each of its names", ModelList, _FINE),
    Knowledge("/v1/models/{name}", "Describe the one model", ModelCard, _FINE),
    Knowledge("/v1/metadata", "Describe this kit", Metadata, _FINE),
    Knowledge("/v1/manifest", "Return the kit's lock; only digests of its code", Manifest, _FINE),
    Knowledge("/v1/license", "Return the licences of kit and model", Licences, _FINE),
    Knowledge("/v1/health/live", "Check that the process runs", Liveness, _FINE),
    Knowledge(
        "/v1/health/ready",
        "Check whether the kit is ready for requests",
        Readiness,
        {200: "The kit is ready.", 503: "The kit is not ready, with the reason."},
    ),
    Knowledge("/metrics", "Return the metrics", None, _FINE, "text/plain"),
    Knowledge("/openapi.json", "Describe this kit's API", Description, _FINE),
    Knowledge("/docs", "Show this kit's page, as / does", None, _FINE, "text/html"),
)

"""The lock: the kit with every input resolved to a digest. No times, no hosts, no local paths.

The recipe digest is the digest of everything in it that can change an answer.
"""

import json
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.kit.classify import CHANGES_ANSWERS, KEEPS_ANSWERS, answer_part
from mealkit.kit.model import (
    Contact,
    Feature,
    Override,
    Paper,
    Part,
    RelativePath,
    Serving,
    Task,
)
from mealkit.lock.origins import Origin
from mealkit.preflight.estimate.shape import Shape
from mealkit.preflight.requirements import Requirements

LOCK_NAME = "kit.lock"


class LockedWheel(Part):
    """A Python wheel, pinned."""

    name: Annotated[str, CHANGES_ANSWERS]
    """The package's normalised name."""
    version: Annotated[str, CHANGES_ANSWERS]
    """Its version."""
    filename: Annotated[str, CHANGES_ANSWERS]
    """The wheel's file name, which states Python, ABI and platform."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The wheel's digest."""
    size_bytes: Annotated[int, KEEPS_ANSWERS]
    """The wheel's size; 0 where the index does not say."""
    local: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether it comes from ``runtime.wheels`` rather than from an index."""


class LockedFile(Part):
    """One file of the model: where it goes, and the bytes it must be."""

    path: Annotated[RelativePath, CHANGES_ANSWERS]
    """Its path below /models."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its bytes."""
    size_bytes: Annotated[int, CHANGES_ANSWERS]
    """Its size."""
    format: Annotated[
        Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle"], KEEPS_ANSWERS
    ]
    """What its content was found to be."""
    origins: Annotated[tuple[Origin, ...], KEEPS_ANSWERS]
    """Where it was found, and where else it may come from, in the kit's order."""


class ModelShape(Part):
    """What headers and config.json say of the model, for estimates without its weights."""

    architecture: Annotated[str | None, KEEPS_ANSWERS] = None
    """The architecture's name in config.json or the GGUF header."""
    parameters: Annotated[int, KEEPS_ANSWERS] = 0
    """How many numbers the weights hold."""
    max_positions: Annotated[int | None, KEEPS_ANSWERS] = None
    """The longest input that the model was made for, in tokens."""
    described: Annotated[Shape | None, KEEPS_ANSWERS] = None
    """All that the estimator reads there; null: too little is said to count with."""


class LockedModel(Part):
    """The model, file by file."""

    name: Annotated[str, CHANGES_ANSWERS]
    """The model's name for callers."""
    license: Annotated[str, KEEPS_ANSWERS]
    """The licence of the weights."""
    task: Annotated[Task, CHANGES_ANSWERS]
    """What it does."""
    files: Annotated[tuple[LockedFile, ...], CHANGES_ANSWERS]
    """Every file, sorted by path."""
    shape: Annotated[ModelShape, KEEPS_ANSWERS]
    """What the estimator needs."""


class LockedPrompt(Part):
    """A prompt template, in full."""

    file: Annotated[RelativePath, KEEPS_ANSWERS]
    """Its path in the kit's folder."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its text."""
    text: Annotated[str, CHANGES_ANSWERS]
    """The template itself, so that two locks can be compared line by line."""
    variables: Annotated[tuple[str, ...], CHANGES_ANSWERS] = ()
    """The variables that it takes."""


class LockedCode(Part):
    """A file of the paper's own code, in full."""

    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its text."""
    text: Annotated[str, CHANGES_ANSWERS]
    """The text itself."""


class LockedEngine(Part):
    """The engine: its code, and every flag written out."""

    name: Annotated[str, CHANGES_ANSWERS]
    """The engine's name."""
    worker: Annotated[str, CHANGES_ANSWERS]
    """The worker's dotted path, ``package.module:Class``."""
    settings: Annotated[dict[str, JsonValue], CHANGES_ANSWERS]
    """Every flag of the engine, those that the kit left out too."""
    features: Annotated[tuple[Feature, ...], KEEPS_ANSWERS] = ()
    """What it can do beyond its task's plain answer, sorted."""
    environment: Annotated[dict[str, str], CHANGES_ANSWERS]
    """Environment variables of the worker."""
    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The worker's Python packages, sorted by name."""


class LockedGateway(Part):
    """The gateway's own packages, apart from the engine's."""

    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The gateway's Python packages, sorted by name."""


class LockedDeb(Part):
    """A Debian package, pinned."""

    name: Annotated[str, CHANGES_ANSWERS]
    """The package's name."""
    version: Annotated[str, CHANGES_ANSWERS]
    """Its version."""
    architecture: Annotated[str, CHANGES_ANSWERS]
    """Its architecture, or ``all``."""
    filename: Annotated[str, KEEPS_ANSWERS]
    """Its path below a mirror's root."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """Its digest."""
    size_bytes: Annotated[int, KEEPS_ANSWERS]
    """Its size."""


class LockedDebianBase(Part):
    """A base of Debian packages."""

    source: Annotated[Literal["debian"], CHANGES_ANSWERS] = "debian"
    """The kind of base."""
    suite: Annotated[str, CHANGES_ANSWERS]
    """The suite."""
    packages: Annotated[tuple[LockedDeb, ...], CHANGES_ANSWERS]
    """The packages, sorted by name."""


class LockedImageBase(Part):
    """A base image."""

    source: Annotated[Literal["image"], CHANGES_ANSWERS] = "image"
    """The kind of base."""
    name: Annotated[str, KEEPS_ANSWERS]
    """The repository's name, without its registry."""
    digest: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of the manifest for the kit's platform."""
    size_bytes: Annotated[int, KEEPS_ANSWERS]
    """The size of its layers as they travel."""
    glibc: Annotated[str, KEEPS_ANSWERS] = "2.28"
    """The version of its C library, as the kit says it."""


LockedBase = Annotated[LockedDebianBase | LockedImageBase, Field(discriminator="source")]


class LockedRuntime(Part):
    """What runs the model."""

    base: Annotated[LockedBase, CHANGES_ANSWERS]
    """What the image is built on."""
    python: Annotated[str, CHANGES_ANSWERS]
    """The version of the base's Python."""
    interpreter: Annotated[str, CHANGES_ANSWERS]
    """The path or name of the base's Python."""
    architecture: Annotated[str, CHANGES_ANSWERS]
    """The image's architecture."""
    bytecode: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image holds the compiled form of its Python modules."""


class About(Part):
    """What people need to know of a kit; nothing here changes an answer."""

    name: Annotated[str, KEEPS_ANSWERS]
    """The kit's name."""
    version: Annotated[str, KEEPS_ANSWERS]
    """The kit's version."""
    description: Annotated[str | None, KEEPS_ANSWERS] = None
    """What it is for."""
    license: Annotated[str, KEEPS_ANSWERS]
    """The licence of the kit's own files."""
    paper: Annotated[Paper | None, KEEPS_ANSWERS] = None
    """The paper it comes from."""
    owner: Annotated[Contact, KEEPS_ANSWERS]
    """Who answers for it."""


class Requests(Part):
    """Digests of what the kit asked for, part by part: they tell a stale lock from a fresh one."""

    weights: Annotated[Digest, KEEPS_ANSWERS]
    """Of ``model.weights``."""
    packages: Annotated[Digest, KEEPS_ANSWERS]
    """Of what was asked of the package index for the engine."""
    gateway: Annotated[Digest | None, KEEPS_ANSWERS] = None
    """Of what was asked of it for the gateway, so that a newer mealkit leaves the engine as it is;
    null in locks that were made before these were apart."""
    base: Annotated[Digest, KEEPS_ANSWERS]
    """Of ``runtime.base`` and the Python."""


class Lock(Part):
    """A kit with every input resolved to a digest."""

    lock_version: Annotated[Literal["mealkit.lock/v1"], KEEPS_ANSWERS] = "mealkit.lock/v1"
    """The version of this format."""
    mealkit_version: Annotated[str, CHANGES_ANSWERS]
    """The mealkit whose gateway is in the image."""
    about: Annotated[About, KEEPS_ANSWERS]
    """What people need to know."""
    model: Annotated[LockedModel, CHANGES_ANSWERS]
    """The model."""
    prompts: Annotated[dict[str, LockedPrompt], CHANGES_ANSWERS]
    """The prompts, by name."""
    code: Annotated[dict[RelativePath, LockedCode], CHANGES_ANSWERS]
    """The paper's own code, by its path in the kit's folder."""
    hyperparameters: Annotated[dict[str, JsonValue], CHANGES_ANSWERS]
    """Every hyperparameter, those that the kit left out too."""
    overrides: Annotated[dict[str, Override], CHANGES_ANSWERS]
    """The hyperparameters that callers may set, with their bounds."""
    engine: Annotated[LockedEngine, CHANGES_ANSWERS]
    """The engine."""
    gateway: Annotated[LockedGateway, CHANGES_ANSWERS]
    """The gateway."""
    runtime: Annotated[LockedRuntime, CHANGES_ANSWERS]
    """What runs the model."""
    requirements: Annotated[Requirements, KEEPS_ANSWERS]
    """What a machine must have."""
    serving: Annotated[Serving, KEEPS_ANSWERS]
    """How it answers."""
    requests: Annotated[Requests, KEEPS_ANSWERS]
    """What the kit asked for."""

    @property
    def recipe(self) -> Digest:
        """The recipe digest: of everything here that can change an answer."""
        return Digest.of(canonical_json(answer_part(self)))

    @property
    def weights_bytes(self) -> int:
        """The bytes of all files of the model."""
        return sum(file.size_bytes for file in self.model.files)


def lock_bytes(lock: Lock) -> bytes:
    """Write a lock: sorted, indented JSON with a final newline, and its recipe digest on top."""
    form = {"recipe": str(lock.recipe), **lock.model_dump(mode="json")}
    return (json.dumps(form, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def read_lock(data: bytes, where: str = LOCK_NAME) -> Lock:
    """Read a lock and check that its recipe digest is that of its content.

    Raises:
        LockError: it is not a lock of this version, or was edited by hand (``LOCK_INVALID``).
    """
    try:
        form = json.loads(data)
        stated = form.pop("recipe")
        lock = Lock.model_validate_json(json.dumps(form))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise failure("LOCK_INVALID", f"{field}: {first['msg'].lower()}", where=where) from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise failure("LOCK_INVALID", "the file is not a lock", where=where) from error
    except MealkitError as error:  # a value that another room refuses
        raise failure("LOCK_INVALID", error.problems[0].message, where=where) from error
    if stated != lock.recipe:
        raise failure(
            "LOCK_INVALID",
            f"the content gives recipe digest {lock.recipe}, the file states {stated}",
            where=where,
        )
    return lock

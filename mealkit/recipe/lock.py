"""The lock: the kit with every input resolved to a digest. No times, no hosts, no local paths.

The recipe digest is the digest of everything in it that can change an answer.
"""

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError, failure
from mealkit.memory.shape import Shape
from mealkit.names import clash, one_line
from mealkit.recipe.answers import CHANGES_ANSWERS, KEEPS_ANSWERS, answer_part
from mealkit.recipe.kit import Contact, Feature, Override, Paper, Serving, StrictModel, Task
from mealkit.recipe.origins import Origin
from mealkit.recipe.requirements import Requirements
from mealkit.strings import (
    Bytes,
    Count,
    DebianArchitecture,
    DebianName,
    DebianVersion,
    Document,
    EnvironmentName,
    Glibc,
    Interpreter,
    Line,
    LoosePath,
    MachineName,
    MaybeLine,
    Name,
    NormalName,
    PackageVersion,
    Python,
    RelativePath,
    Text,
    Variable,
    Version,
    WheelName,
    Worker,
)
from mealkit.untrusted import UntrustedError, parse_json_object, shown

LOCK_NAME = "kit.lock"
MAX_LOCK_BYTES = 16 * 1024 * 1024
"""The largest lock: a file of code or a prompt in it has at most 1 MiB."""


def _require_apart(paths: Iterable[str]) -> None:
    found = clash(paths)
    if found is not None:
        raise ValueError(f"{found[0]!r} and {found[1]!r} cannot both be there")


class LockedWheel(StrictModel):
    """A Python wheel, pinned."""

    name: Annotated[NormalName, CHANGES_ANSWERS]
    """The package's normalised name."""
    version: Annotated[PackageVersion, CHANGES_ANSWERS]
    """Its version."""
    filename: Annotated[WheelName, CHANGES_ANSWERS]
    """The wheel's file name, which states Python, ABI and platform."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The wheel's digest."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """The wheel's size; 0 where the index does not say."""
    local: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether it comes from ``runtime.wheels`` rather than from an index."""

    @model_validator(mode="after")
    def _is_of_its_name(self) -> Self:
        if re.sub(r"[-_.]+", "-", self.filename.partition("-")[0]).lower() != self.name:
            raise ValueError(f"{self.filename} is not a wheel of {self.name}")
        return self


class LockedFile(StrictModel):
    """One file of the model: where it goes, and the bytes it must be."""

    path: Annotated[RelativePath, CHANGES_ANSWERS]
    """Its path below /models."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its bytes."""
    size_bytes: Annotated[Bytes, CHANGES_ANSWERS]
    """Its size."""
    format: Annotated[
        Literal["safetensors", "gguf", "onnx", "onnx-data", "json", "text", "pickle"], KEEPS_ANSWERS
    ]
    """What its content was found to be."""
    origins: Annotated[tuple[Origin, ...], KEEPS_ANSWERS]
    """Where it was found, and where else it may come from, in the kit's order."""


class ModelShape(StrictModel):
    """What headers and config.json say of the model, for estimates without its weights."""

    architecture: Annotated[Line | None, KEEPS_ANSWERS] = None
    """The architecture's name in config.json or the GGUF header."""
    parameters: Annotated[Count, KEEPS_ANSWERS] = 0
    """How many numbers the weights hold."""
    max_positions: Annotated[Count | None, KEEPS_ANSWERS] = None
    """The longest input that the model was made for, in tokens."""
    described: Annotated[Shape | None, KEEPS_ANSWERS] = None
    """All that the estimator reads there; null: too little is said to count with."""


class LockedModel(StrictModel):
    """The model, file by file."""

    name: Annotated[Line, CHANGES_ANSWERS]
    """The model's name for callers."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the weights."""
    task: Annotated[Task, CHANGES_ANSWERS]
    """What it does."""
    files: Annotated[tuple[LockedFile, ...], CHANGES_ANSWERS]
    """Every file, sorted by path."""
    shape: Annotated[ModelShape, KEEPS_ANSWERS]
    """What the estimator needs."""

    @model_validator(mode="after")
    def _has_files_apart(self) -> Self:
        _require_apart(file.path for file in self.files)
        return self


class LockedPrompt(StrictModel):
    """A prompt template, in full."""

    file: Annotated[LoosePath, KEEPS_ANSWERS]
    """Its path in the kit's folder."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its text."""
    text: Annotated[Document, CHANGES_ANSWERS]
    """The template itself, so that two locks can be compared line by line."""
    variables: Annotated[tuple[Variable, ...], CHANGES_ANSWERS] = ()
    """The variables that it takes."""


class LockedCode(StrictModel):
    """A file of the paper's own code, in full."""

    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of its text."""
    text: Annotated[Document, CHANGES_ANSWERS]
    """The text itself."""


class LockedEngine(StrictModel):
    """The engine: its code, and every flag written out."""

    name: Annotated[Name, CHANGES_ANSWERS]
    """The engine's name."""
    worker: Annotated[Worker, CHANGES_ANSWERS]
    """The worker's dotted path, ``package.module:Class``."""
    settings: Annotated[dict[Variable, JsonValue], CHANGES_ANSWERS]
    """Every flag of the engine, those that the kit left out too."""
    features: Annotated[tuple[Feature, ...], KEEPS_ANSWERS] = ()
    """What it can do beyond its task's plain answer, sorted."""
    environment: Annotated[dict[EnvironmentName, MaybeLine], CHANGES_ANSWERS]
    """Environment variables of the worker."""
    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The worker's Python packages, sorted by name."""


class LockedGateway(StrictModel):
    """The gateway's own packages, apart from the engine's."""

    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The gateway's Python packages, sorted by name."""


class LockedDeb(StrictModel):
    """A Debian package, pinned."""

    name: Annotated[DebianName, CHANGES_ANSWERS]
    """The package's name."""
    version: Annotated[DebianVersion, CHANGES_ANSWERS]
    """Its version."""
    architecture: Annotated[DebianArchitecture, CHANGES_ANSWERS]
    """Its architecture, or ``all``."""
    filename: Annotated[RelativePath, KEEPS_ANSWERS]
    """Its path below a mirror's root."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """Its digest."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """Its size."""


class LockedDebianBase(StrictModel):
    """A base of Debian packages."""

    source: Annotated[Literal["debian"], CHANGES_ANSWERS] = "debian"
    """The kind of base."""
    suite: Annotated[Name, CHANGES_ANSWERS]
    """The suite."""
    packages: Annotated[tuple[LockedDeb, ...], CHANGES_ANSWERS]
    """The packages, sorted by name."""

    @model_validator(mode="after")
    def _has_packages_apart(self) -> Self:
        _require_apart(package.name for package in self.packages)
        return self


class LockedImageBase(StrictModel):
    """A base image."""

    source: Annotated[Literal["image"], CHANGES_ANSWERS] = "image"
    """The kind of base."""
    name: Annotated[MaybeLine, KEEPS_ANSWERS]
    """The repository's name, without its registry."""
    digest: Annotated[Digest, CHANGES_ANSWERS]
    """The digest of the manifest for the kit's platform."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """The size of its layers as they travel."""
    glibc: Annotated[Glibc, KEEPS_ANSWERS] = "2.28"
    """The version of its C library, as the kit says it."""


LockedBase = Annotated[LockedDebianBase | LockedImageBase, Field(discriminator="source")]


class LockedRuntime(StrictModel):
    """What runs the model."""

    base: Annotated[LockedBase, CHANGES_ANSWERS]
    """What the image is built on."""
    python: Annotated[Python, CHANGES_ANSWERS]
    """The version of the base's Python."""
    interpreter: Annotated[Interpreter, CHANGES_ANSWERS]
    """The path or name of the base's Python."""
    architecture: Annotated[MachineName, CHANGES_ANSWERS]
    """The image's architecture."""
    bytecode: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image holds the compiled form of its Python modules."""


class About(StrictModel):
    """What people need to know of a kit; nothing here changes an answer."""

    name: Annotated[Name, KEEPS_ANSWERS]
    """The kit's name."""
    version: Annotated[Version, KEEPS_ANSWERS]
    """The kit's version."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """What it is for."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the kit's own files."""
    paper: Annotated[Paper | None, KEEPS_ANSWERS] = None
    """The paper it comes from."""
    owner: Annotated[Contact, KEEPS_ANSWERS]
    """Who answers for it."""


class Requests(StrictModel):
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


class Variant(StrictModel):
    """What an image for one more architecture has of its own; all else it shares."""

    base: Annotated[LockedBase, CHANGES_ANSWERS]
    """What the image is built on."""
    engine_packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The worker's Python packages, sorted by name."""
    gateway_packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The gateway's Python packages, sorted by name."""
    requirements: Annotated[Requirements, KEEPS_ANSWERS]
    """What a machine must have."""
    requests: Annotated[Requests, KEEPS_ANSWERS]
    """What the kit asked for."""


class Lock(StrictModel):
    """A kit with every input resolved to a digest.

    Of a kit for several architectures, everything but ``variants`` is what its first one has.
    """

    lock_version: Annotated[Literal["mealkit.lock/v1"], KEEPS_ANSWERS] = "mealkit.lock/v1"
    """The version of this format."""
    mealkit_version: Annotated[PackageVersion, CHANGES_ANSWERS]
    """The mealkit whose gateway is in the image."""
    about: Annotated[About, KEEPS_ANSWERS]
    """What people need to know."""
    model: Annotated[LockedModel, CHANGES_ANSWERS]
    """The model."""
    prompts: Annotated[dict[Name, LockedPrompt], CHANGES_ANSWERS]
    """The prompts, by name."""
    code: Annotated[dict[RelativePath, LockedCode], CHANGES_ANSWERS]
    """The paper's own code, by its path in the kit's folder."""
    hyperparameters: Annotated[dict[Variable, JsonValue], CHANGES_ANSWERS]
    """Every hyperparameter, those that the kit left out too."""
    overrides: Annotated[dict[Variable, Override], CHANGES_ANSWERS]
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
    variants: Annotated[dict[MachineName, Variant], CHANGES_ANSWERS] = Field(default_factory=dict)
    """What differs for each further architecture; left out where there is none."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        _require_apart(self.code)
        if self.runtime.architecture in self.variants:
            raise ValueError(f"{self.runtime.architecture} is there twice")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _plain(handler(self))

    @property
    def recipe(self) -> Digest:
        """The recipe digest: of everything here that can change an answer, in all variants."""
        return Digest.of(canonical_json(_plain(answer_part(self))))

    @property
    def weights_bytes(self) -> int:
        """The bytes of all files of the model."""
        return sum(file.size_bytes for file in self.model.files)


def _plain(form: dict[str, Any]) -> dict[str, Any]:
    """Leave out that there are no variants: a lock for one architecture says nothing of them."""
    return {name: value for name, value in form.items() if value or name != "variants"}


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
        if len(data) > MAX_LOCK_BYTES:
            raise UntrustedError(f"it is larger than {MAX_LOCK_BYTES} bytes")  # noqa: TRY301
        form = parse_json_object(data)
        stated = form.pop("recipe", None)
        lock = Lock.model_validate_json(json.dumps(form))
    except UntrustedError as error:
        raise failure("LOCK_INVALID", f"the file is not a lock: {error}", where=where) from error
    except ValidationError as error:
        raise failure("LOCK_INVALID", first_fault(error), where=where) from error
    except MealkitError as error:  # a value that another room refuses
        raise failure("LOCK_INVALID", error.problems[0].message, where=where) from error
    if stated != lock.recipe:
        raise failure(
            "LOCK_INVALID",
            f"the content gives recipe digest {lock.recipe}, the file states {shown(str(stated))}",
            where=where,
        )
    return lock


def first_fault(error: ValidationError) -> str:
    """Say the first thing that a lock, or a part of one, may not have: the field and why."""
    first = error.errors(include_url=False)[0]
    field = one_line(".".join(str(part) for part in first["loc"]))[:200]
    return f"{field}: {first['msg'].lower()}"

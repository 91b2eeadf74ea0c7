"""The kit: the content of kit.yaml, as frozen and strict models.

Rejects unknown fields and values of the wrong type. The fields that depend on the engine
(``hyperparameters``, ``runtime.settings``) are checked by that engine's recipe.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from mealkit.recipe.answers import CHANGES_ANSWERS, DECIDES_ANSWERS, KEEPS_ANSWERS, StrictModel
from mealkit.recipe.cases import Cases
from mealkit.recipe.claims import MAX_DATASETS, Claims
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.operations import Operations
from mealkit.recipe.serving_settings import Serving
from mealkit.recipe.system_prompt import SystemPrompt
from mealkit.recipe.weight_places import Weights
from mealkit.strings import (
    AbsolutePath,
    DebianPackage,
    Glibc,
    Line,
    LoosePath,
    MachinePath,
    Name,
    NormalName,
    Python,
    Size,
    Text,
    Url,
    Variable,
    Version,
)


class Paper(StrictModel):
    """The paper that the kit comes from."""

    title: Annotated[Text, KEEPS_ANSWERS]
    """The paper's title."""
    arxiv: Annotated[
        Annotated[str, StringConstraints(pattern=r"^[0-9]{4}\.[0-9]{4,5}(v[0-9]+)?$")] | None,
        KEEPS_ANSWERS,
    ] = None
    """The paper's number on arXiv, in quotes: "1908.10084"."""
    doi: Annotated[Line | None, KEEPS_ANSWERS] = None
    """The paper's DOI."""
    url: Annotated[Url | None, KEEPS_ANSWERS] = None
    """The address of the paper."""


class Contact(StrictModel):
    """The team to contact when the kit fails."""

    team: Annotated[Line, KEEPS_ANSWERS]
    """The team that owns the kit."""
    contact: Annotated[
        Annotated[Line, StringConstraints(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https?://\S+)$")],
        KEEPS_ANSWERS,
    ]
    """How to reach the team: mailto:... or https://..."""
    support: Annotated[Text, KEEPS_ANSWERS]
    """When and how the team answers, in a sentence."""


class Task(StrEnum):
    """The task of a kit: its kind of request and answer."""

    EMBEDDINGS = "embeddings"
    """Texts in, vectors out."""
    GENERATION = "generation"
    """Chat messages, or the beginning of a text, in; text out."""
    CLASSIFICATION = "classification"
    """Texts in, the probabilities of labels out."""
    RERANKING = "reranking"
    """A query and documents in, the relevance of each document out."""
    PREDICTION = "prediction"
    """Input and output are defined by the paper's own code."""


class Feature(StrEnum):
    """An optional ability of an engine; the gateway rejects requests that need a missing one."""

    CHAT = "chat"
    """Chat messages, with the model's chat template."""
    COMPLETION = "completion"
    """Continuing a text."""
    TOKENS = "tokens"
    """Returning the tokens of a text."""
    TOOLS = "tools"
    """Calls of tools that the request describes."""
    JSON_SCHEMA = "json_schema"
    """Answers that match a JSON Schema."""
    LOGPROBS = "logprobs"
    """Log probabilities of the tokens."""
    LOGIT_BIAS = "logit_bias"
    """Biases on single tokens."""
    MULTIPLE = "multiple"
    """Several answers to one request."""


class Model(StrictModel):
    """The model: its name, its task, and the sources of its files."""

    name: Annotated[Line, CHANGES_ANSWERS]
    """The model's name for callers, as in /v1/models."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the weights, as an SPDX identifier."""
    task: Annotated[Task | None, DECIDES_ANSWERS] = None
    """The model's task; the engine's first task, if left out."""
    weights: Annotated[tuple[Weights, ...], DECIDES_ANSWERS]
    """Every file that the engine reads: weights, tokenizer, configuration. Empty ([]) if the
    paper's own code needs none."""
    allow_pickle: Annotated[bool, KEEPS_ANSWERS] = False
    """Accept pickle files, which run code when loaded."""


class Prompt(StrictModel):
    """A prompt template of the kit."""

    file: Annotated[LoosePath, DECIDES_ANSWERS]
    """The template's file, relative to the kit's folder."""
    variables: Annotated[tuple[Variable, ...], DECIDES_ANSWERS] = ()
    """The variables of the template; a caller must give each of them."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """The purpose of the prompt."""


class Override(StrictModel):
    """The limits for callers who set a hyperparameter; without limits, those of its type apply."""

    minimum: Annotated[float | None, CHANGES_ANSWERS] = None
    """The smallest number that a caller may set."""
    maximum: Annotated[float | None, CHANGES_ANSWERS] = None
    """The largest number that a caller may set."""


class DebianBase(StrictModel):
    """A minimal root file system, assembled from Debian packages."""

    source: Annotated[Literal["debian"], CHANGES_ANSWERS]
    """The kind of base."""
    suite: Annotated[Literal["bookworm", "trixie"], CHANGES_ANSWERS]
    """The Debian suite."""
    packages: Annotated[tuple[DebianPackage, ...], CHANGES_ANSWERS] = ()
    """Additional packages, by name, such as gcc for an engine that calls it."""
    allow_unsigned: Annotated[bool, KEEPS_ANSWERS] = False
    """Accept a package index without a valid signature. A build runs no code from its packages."""


class ImageBase(StrictModel):
    """Any image, by reference."""

    source: Annotated[Literal["image"], CHANGES_ANSWERS]
    """The kind of base."""
    reference: Annotated[MachinePath, CHANGES_ANSWERS]
    """REGISTRY/NAME:TAG or @sha256:..., oci:DIRECTORY, or oci-archive:FILE."""
    interpreter: Annotated[AbsolutePath | None, CHANGES_ANSWERS] = None
    """The path of the image's Python; found by name on the image's PATH, if left out."""
    glibc: Annotated[Glibc, CHANGES_ANSWERS] = "2.28"
    """The version of the image's C library, in quotes: wheels must not need a newer one."""


Base = Annotated[DebianBase | ImageBase, Field(discriminator="source")]


class Runtime(StrictModel):
    """The software that runs the model."""

    engine: Annotated[Name, DECIDES_ANSWERS]
    """The inference engine."""
    settings: Annotated[dict[str, JsonValue], DECIDES_ANSWERS] = Field(default_factory=dict)
    """The engine's flags; the lock also contains the defaults of those that are left out."""
    base: Annotated[Base, CHANGES_ANSWERS]
    """The base of the image."""
    python: Annotated[Python, CHANGES_ANSWERS]
    """The base's Python, in quotes: "3.13"."""
    bytecode: Annotated[bool | None, KEEPS_ANSWERS] = None
    """Whether the image also contains its Python modules compiled: larger, but starts faster.
    Default: yes for a kit for one architecture with signed Debian packages, whose Python compiles
    the modules in the build. For several architectures it must be set."""
    requirements: Annotated[tuple[Line, ...], DECIDES_ANSWERS] = ()
    """Additional Python packages, as pip writes them, and versions for the engine's own."""
    exclude: Annotated[tuple[NormalName, ...], CHANGES_ANSWERS] = ()
    """Dependencies that are left out of the lock on purpose, with what only they need: names in
    lower case, with hyphens. A worker that imports one of them cannot start."""
    wheels: Annotated[tuple[LoosePath, ...], DECIDES_ANSWERS] = ()
    """Local wheel files, or folders of them, for packages that no index has as a wheel."""
    prepare: Annotated[LoosePath | None, KEEPS_ANSWERS] = None
    """A script of the kit's folder that makes the wheels. It is named while they are missing, and
    never run without being asked for."""
    code: Annotated[tuple[LoosePath, ...], DECIDES_ANSWERS] = ()
    """The paper's own code: text files in the kit's folder, by name or pattern (``lib/*.py``).
    Patterns skip .git, .hg, .svn, .jj, .venv and __pycache__."""

    @model_validator(mode="after")
    def _has_a_compiler(self) -> Self:
        if self.bytecode and self.base.source == "image":
            message = "bytecode needs a base of Debian packages: no build runs an image's Python"
            raise ValueError(message)
        if self.bytecode and isinstance(self.base, DebianBase) and self.base.allow_unsigned:
            message = "bytecode needs signed packages: with allow_unsigned, none is run"
            raise ValueError(message)
        return self


class Gpu(StrEnum):
    """Whether the kit uses a GPU."""

    NONE = "none"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Architecture(StrEnum):
    """A processor architecture, by its name in Go."""

    AMD64 = "amd64"
    ARM64 = "arm64"


class Hardware(StrictModel):
    """The kit's hardware requirements."""

    gpu: Annotated[Gpu, CHANGES_ANSWERS] = Gpu.NONE
    """none, optional or required."""
    memory: Annotated[Literal["auto"] | Size, KEEPS_ANSWERS] = "auto"
    """Memory for the container, such as 2GiB; auto: estimated from the weights."""
    disk: Annotated[Literal["auto"] | Size, KEEPS_ANSWERS] = "auto"
    """Disk space for the image, such as 2GiB; auto: added up from the lock."""
    architectures: Annotated[
        tuple[Architecture, ...], Field(min_length=1, max_length=len(Architecture)), CHANGES_ANSWERS
    ] = (Architecture.AMD64,)
    """The architectures that the image is built for: amd64, arm64, or both, as one index of two
    images."""

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len(set(self.architectures)) != len(self.architectures):
            raise ValueError("an architecture appears twice")
        return self


class Kit(StrictModel):
    """A kit: a paper's recipe, with everything that can change its answers."""

    api_version: Annotated[Literal["mealkit/v1"], KEEPS_ANSWERS] = Field(alias="apiVersion")
    """The version of this format: mealkit/v1."""
    name: Annotated[Name, KEEPS_ANSWERS]
    """The kit's name: lower-case letters, digits, dots and dashes."""
    version: Annotated[Version, KEEPS_ANSWERS]
    """The kit's version, in quotes; it is also the image's tag."""
    description: Annotated[Text | None, KEEPS_ANSWERS] = None
    """The purpose of the kit, in a sentence."""
    license: Annotated[Line, KEEPS_ANSWERS]
    """The licence of the kit's own files, as an SPDX identifier."""
    paper: Annotated[Paper | None, KEEPS_ANSWERS] = None
    """The paper that the kit implements."""
    owner: Annotated[Contact, KEEPS_ANSWERS]
    """The team to contact when the kit fails."""
    model: Annotated[Model, DECIDES_ANSWERS]
    """The model and its files."""
    prompts: Annotated[dict[Name, Prompt], DECIDES_ANSWERS] = Field(default_factory=dict)
    """Prompt templates, by name."""
    system_prompt: Annotated[SystemPrompt | None, DECIDES_ANSWERS] = None
    """The prompt that every conversation begins with."""
    hyperparameters: Annotated[dict[str, JsonValue], DECIDES_ANSWERS] = Field(default_factory=dict)
    """The parameters of the computation, such as pooling, lengths and sampling. The engine defines
    their types."""
    overrides: Annotated[dict[Variable, Override], CHANGES_ANSWERS] = Field(default_factory=dict)
    """The hyperparameters that a caller may set for one request, with their limits."""
    runtime: Annotated[Runtime, DECIDES_ANSWERS]
    """The software that runs the model."""
    hardware: Annotated[Hardware, CHANGES_ANSWERS] = Hardware()
    """The kit's hardware requirements."""
    serving: Annotated[Serving, KEEPS_ANSWERS] = Serving()
    """The settings of the server."""
    datasets: Annotated[
        Annotated[dict[Name, Weights], Field(max_length=MAX_DATASETS)], KEEPS_ANSWERS
    ] = Field(default_factory=dict)
    """The data on which claims are measured, by name; pinned like weights."""
    claims: Annotated[Claims, KEEPS_ANSWERS] = ()
    """What the paper, or its authors, promise of the kit."""
    cases: Annotated[Cases, KEEPS_ANSWERS] = ()
    """Golden examples. The first one is the kit's example and its first request."""
    tests_in_image: Annotated[bool, KEEPS_ANSWERS] = False
    """Whether the image also contains the claims' data and the packages of their metrics, so that
    it can test another one: docker run IMAGE test URL."""
    data: Annotated[DataContract | None, CHANGES_ANSWERS] = None
    """What the inputs must be like."""
    ops: Annotated[Operations | None, KEEPS_ANSWERS] = None
    """How the kit is operated: prices and budgets, audit log, telemetry."""
    allow_secrets: Annotated[tuple[Text, ...], KEEPS_ANSWERS] = ()
    """Files that look like secrets but may be public, each by its path in the problem KIT_SECRET;
    kit.yaml for its own text."""


def kit_json(part: StrictModel) -> dict[str, Any]:
    """Return a kit, or a part of one, as JSON with the names of kit.yaml."""
    return part.model_dump(mode="json", by_alias=True)

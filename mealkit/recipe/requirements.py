"""What a kit needs of a machine, as the lock and the manifest's annotation state it: a few KB.

Refuses fields that this mealkit does not know: a need that nobody checks must not pass.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mealkit.errors import MealkitError, failure
from mealkit.memory.setting import EngineMemory, KvDtype, Setting
from mealkit.memory.shape import Shape
from mealkit.names import one_line
from mealkit.recipe.kit import Architecture, Gpu
from mealkit.strings import Bytes, Line, Name
from mealkit.untrusted import UntrustedError, parse_json_object

ANNOTATION = "dev.mealkit.requirements"
"""The manifest's annotation, and the config's label, that hold the requirements as JSON."""

Dtype = Literal["fp32", "fp16", "bf16", "int8", "fp8", "fp4"]
Capability = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9][af]?(\+PTX)?$", max_length=16)
]
Tokens = Annotated[int, Field(ge=1, le=2**40)]
Several = Annotated[int, Field(ge=1, le=2**20)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Demand(_Form):
    """How the engine will be run, as far as it decides about memory."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    engine: Name
    """The engine's name."""
    context_tokens: Tokens
    """Prompt and answer together, per request, as the kit pins them."""
    concurrency: Several = 1
    """Requests at a time."""
    kv_dtype: KvDtype = "f16"
    """The type of the key and value cache."""
    float_bytes: Annotated[int, Field(ge=1, le=16)] | None = None
    """Width that float weights are cast to; null: as they are stored."""
    tensor_parallel: Several = 1
    """GPUs that share every layer."""
    layer_split: Several = 1
    """GPUs over which whole layers are spread."""
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The share of a GPU that the engine takes, if it takes one."""
    batched_tokens: Tokens = 8192
    """The most tokens that are computed together, of all requests."""
    cuda_graphs: bool = True
    """Whether CUDA graphs are captured."""
    micro_batch: Tokens = 512
    """The most tokens of one request that are computed at a time."""
    flash_attention: bool = True
    """Whether attention does without the matrix of all scores."""
    library_version: Annotated[tuple[int, int] | None, Field(alias="transformers_version")] = None
    """The version of the library that computes, if memory depends on it; null: a current one."""

    @property
    def gpus(self) -> int:
        """GPUs that one replica takes."""
        return max(self.tensor_parallel, self.layer_split)

    def setting(self, engine: EngineMemory, capability: tuple[int, int] | None = None) -> Setting:
        """Return what the engine's estimate takes, for a GPU of a compute capability."""
        stated = self.model_dump(exclude={"engine", "library_version"})
        if capability is not None:
            stated["compute_capability"] = capability
        return Setting(engine, **stated, habits=engine.habits_of(self.library_version))


class Requirements(_Form):
    """The kit's side of the preflight, readable before anything is pulled."""

    architectures: tuple[Architecture, ...]
    """The architectures that the image is built for."""
    gpu: Gpu
    """Whether a GPU is needed."""
    memory_bytes: Bytes
    """Memory that the container needs while it answers."""
    disk_bytes: Bytes
    """Disk that the unpacked image needs, weights included."""
    weights_bytes: Bytes
    """Bytes of weights, which arrive by pull or by mount."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The port that the kit asks for on the machine."""
    model: Shape | None = None
    """The model as the estimator must know it; null: its files do not say."""
    demand: Demand | None = None
    """How the engine is run; null: an engine whose memory cannot be estimated."""
    dtypes: tuple[Dtype, ...] = ()
    """The types that the engine computes in."""
    cuda: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None = None
    """The newest CUDA that a locked package was built with; null: none of them says."""
    built_for: Mapping[Line, tuple[Capability, ...] | None] = Field(default_factory=dict)
    """For each locked package with GPU code, the compute capabilities that it was built for; null
    where that is not known."""
    shm_bytes: Bytes = 0
    """Shared memory that the engine's processes need."""

    @property
    def gpus(self) -> int:
        """How many GPUs are needed; 0 for a kit that uses none."""
        if self.gpu is Gpu.NONE:
            return 0
        return self.demand.gpus if self.demand else 1


def read_requirements(annotations: Mapping[str, str], where: str) -> Requirements:
    """Read the requirements from a manifest's annotations; those of older kits say less.

    Raises:
        StoreError: there are none, or none that can be read (``IMAGE_INVALID``).
    """
    text = annotations.get(ANNOTATION)
    if text is None:
        raise failure(
            "IMAGE_INVALID",
            f"it states no requirements: the annotation {ANNOTATION} is not there",
            where=where,
            hint="mealkit takes images that mealkit built",
        )
    try:
        form = parse_json_object(text.encode(errors="surrogatepass"))
        return Requirements.model_validate_json(json.dumps(form))
    except UntrustedError as error:
        raise _unreadable(str(error), where) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = one_line(".".join(str(part) for part in first["loc"]))[:200] or ANNOTATION
        raise _unreadable(f"{field}: {first['msg'].lower()}", where) from error


def _unreadable(reason: str, where: str) -> MealkitError:
    return failure(
        "IMAGE_INVALID",
        f"its requirements cannot be read: {reason}",
        where=where,
        hint="use a mealkit as new as the one that built the image, or build it again",
    )

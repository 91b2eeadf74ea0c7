"""The kit's requirements for a machine, as in the lock and the manifest's annotation: a few KB.

Rejects fields that this mealkit does not know, because it could not check those requirements.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    ValidationError,
    model_serializer,
)

from mealkit.errors import MealkitError, failure
from mealkit.memory.setting import EngineMemory, KvDtype, Setting
from mealkit.memory.shape import Shape
from mealkit.names import one_line
from mealkit.recipe.kit import Architecture, Gpu
from mealkit.strings import Bytes, Line, Name
from mealkit.untrusted import UntrustedError, parse_json_object

ANNOTATION = "dev.mealkit.requirements"
"""The manifest's annotation, and the config's label, with the requirements as JSON."""

Dtype = Literal["fp32", "fp16", "bf16", "int8", "fp8", "fp4"]
Capability = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9][af]?(\+PTX)?$", max_length=16)
]
_RESERVED = "cache_space_bytes"
Tokens = Annotated[int, Field(ge=1, le=2**40)]
Several = Annotated[int, Field(ge=1, le=2**20)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Demand(_Form):
    """The engine's settings that affect its memory."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    engine: Name
    """The engine's name."""
    context_tokens: Tokens
    """Tokens of prompt and answer together, per request, as the kit pins them."""
    concurrency: Several = 1
    """Concurrent requests."""
    kv_dtype: KvDtype = "f16"
    """The data type of the key and value cache."""
    float_bytes: Annotated[int, Field(ge=1, le=16)] | None = None
    """Bytes per float weight after loading; null: as stored in the file."""
    tensor_parallel: Several = 1
    """The number of GPUs that share every layer."""
    layer_split: Several = 1
    """The number of GPUs among which whole layers are divided."""
    utilisation: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The share of a GPU's memory that the engine reserves, if it reserves one."""
    batched_tokens: Tokens = 8192
    """The maximum number of tokens that are computed together, for all requests."""
    cuda_graphs: bool = True
    """Whether CUDA graphs are captured."""
    cache_space_bytes: Bytes | None = None
    """Main memory that the engine reserves for its cache, to compute on processors; null: it uses a
    GPU, or its cache grows."""
    micro_batch: Tokens = 512
    """The maximum number of tokens of one request that are computed together."""
    flash_attention: bool = True
    """Whether attention is computed without the matrix of all scores."""
    library_version: Annotated[tuple[int, int] | None, Field(alias="transformers_version")] = None
    """The version of the engine's library, if memory depends on it; null: a current one."""

    @model_serializer(mode="wrap")
    def _as_older_ones(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Drop the reserved cache if there is none: the bytes of other kits' locks stay."""
        form: dict[str, Any] = handler(self)
        return {name: value for name, value in form.items() if value or name != _RESERVED}

    @property
    def gpus(self) -> int:
        """The number of GPUs for one replica."""
        return max(self.tensor_parallel, self.layer_split)

    def setting(self, engine: EngineMemory, capability: tuple[int, int] | None = None) -> Setting:
        """Return the input of the engine's estimate, for a GPU with this compute capability."""
        stated = self.model_dump(exclude={"engine", "library_version"})
        if capability is not None:
            stated["compute_capability"] = capability
        return Setting(engine, **stated, habits=engine.habits_of(self.library_version))


class Requirements(_Form):
    """The kit's requirements, which the preflight reads before anything is pulled."""

    architectures: tuple[Architecture, ...]
    """The architectures that the image is built for."""
    gpu: Gpu
    """Whether a GPU is needed."""
    memory_bytes: Bytes
    """Memory that the container needs while it answers requests."""
    disk_bytes: Bytes
    """Disk space for the unpacked image, including the weights."""
    weights_bytes: Bytes
    """The size of the weights, which are pulled with the image or mounted."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """The kit's port on the machine."""
    model: Shape | None = None
    """The model's facts for the memory estimate; null: its files do not contain enough."""
    demand: Demand | None = None
    """The engine's settings for the memory estimate; null: no estimate for this engine."""
    dtypes: tuple[Dtype, ...] = ()
    """The data types that the engine computes in."""
    cuda: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$")] | None = None
    """The newest CUDA version that a locked package was built with; null: unknown."""
    built_for: Mapping[Line, tuple[Capability, ...] | None] = Field(default_factory=dict)
    """For each locked package with GPU code, the compute capabilities that it was built for; null
    if they are not known."""
    shm_bytes: Bytes = 0
    """Shared memory that the engine's processes need."""

    @property
    def reserves_cache(self) -> bool:
        """Whether the engine computes on processors with a cache of fixed size."""
        return self.demand is not None and self.demand.cache_space_bytes is not None

    @property
    def gpus(self) -> int:
        """The number of GPUs that the kit needs; 0 for a kit that uses none."""
        if self.gpu is Gpu.NONE:
            return 0
        return self.demand.gpus if self.demand else 1


def read_requirements(annotations: Mapping[str, str], where: str) -> Requirements:
    """Read the requirements from a manifest's annotations; those of older kits have fewer fields.

    Raises:
        StoreError: they are missing or not readable (``IMAGE_INVALID``).
    """
    text = annotations.get(ANNOTATION)
    if text is None:
        raise failure(
            "IMAGE_INVALID",
            f"the image states no requirements: the annotation {ANNOTATION} is missing",
            where=where,
            hint="use an image that mealkit built",
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
        f"the image's requirements cannot be read: {reason}",
        where=where,
        hint="use the mealkit version that built the image, or a newer one; or build it again",
    )

"""What a kit needs of a machine, as the lock and the manifest's annotation state it: a few KB.

Refuses fields that this mealkit does not know: a need that nobody checks must not pass.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from mealkit.errors import failure
from mealkit.kit.model import Architecture, Gpu
from mealkit.preflight.estimate.setting import Engine, KvDtype, Setting, habits_of
from mealkit.preflight.estimate.shape import Shape

ANNOTATION = "dev.mealkit.requirements"
"""The manifest's annotation, and the config's label, that hold the requirements as JSON."""

Dtype = Literal["fp32", "fp16", "bf16", "int8", "fp8", "fp4"]
Capability = Annotated[str, StringConstraints(pattern=r"^\d+\.\d[af]?(\+PTX)?$")]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Demand(_Form):
    """How the engine will be run, as far as it decides about memory."""

    engine: Engine
    """The engine, by the estimator's name of it."""
    context_tokens: int
    """Prompt and answer together, per request, as the kit pins them."""
    concurrency: int = 1
    """Requests at a time."""
    kv_dtype: KvDtype = "f16"
    """The type of the key and value cache."""
    float_bytes: int | None = None
    """Width that float weights are cast to; null: as they are stored."""
    tensor_parallel: int = 1
    """GPUs that share every layer."""
    layer_split: int = 1
    """GPUs over which whole layers are spread."""
    utilisation: float = 0.9
    """The share of a GPU that vLLM takes."""
    batched_tokens: int = 8192
    """The most tokens that vLLM computes at once."""
    cuda_graphs: bool = True
    """Whether vLLM captures CUDA graphs."""
    micro_batch: int = 512
    """The most tokens that llama.cpp computes at once."""
    flash_attention: bool = True
    """Whether llama.cpp uses flash attention."""
    transformers_version: tuple[int, int] | None = None
    """The version of transformers, whose habits differ; null: a current one."""

    @property
    def gpus(self) -> int:
        """GPUs that one replica takes."""
        return max(self.tensor_parallel, self.layer_split)

    def setting(self, capability: tuple[int, int] | None = None) -> Setting:
        """Return what the estimator takes, for a GPU of a compute capability."""
        stated = self.model_dump(exclude={"transformers_version"})
        if capability is not None:
            stated["compute_capability"] = capability
        return Setting(**stated, habits=habits_of(self.transformers_version))


class Requirements(_Form):
    """The kit's side of the preflight, readable before anything is pulled."""

    architectures: tuple[Architecture, ...]
    """The architectures that the image is built for."""
    gpu: Gpu
    """Whether a GPU is needed."""
    memory_bytes: int
    """Memory that the container needs while it answers."""
    disk_bytes: int
    """Disk that the unpacked image needs, weights included."""
    weights_bytes: int
    """Bytes of weights, which arrive by pull or by mount."""
    port: int | None = None
    """The port that the kit asks for on the machine."""
    model: Shape | None = None
    """The model as the estimator must know it; null: its files do not say."""
    demand: Demand | None = None
    """How the engine is run; null: an engine that the estimator does not know."""
    dtypes: tuple[Dtype, ...] = ()
    """The types that the engine computes in."""
    cuda: Annotated[str, StringConstraints(pattern=r"^\d+\.\d+$")] | None = None
    """The newest CUDA that a locked package was built with; null: none of them says."""
    built_for: Mapping[str, tuple[Capability, ...] | None] = Field(default_factory=dict)
    """For each locked package with GPU code, the compute capabilities that it was built for; null
    where that is not known."""
    shm_bytes: int = 0
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
        return Requirements.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or ANNOTATION
        raise failure(
            "IMAGE_INVALID",
            f"its requirements cannot be read: {field}: {first['msg'].lower()}",
            where=where,
            hint="use a mealkit as new as the one that built the image, or build it again",
        ) from error

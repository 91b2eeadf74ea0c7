"""The build side of the transformers engine: torch over pinned safetensors, on a CPU or one GPU."""

from typing import Annotated, Any, Literal

from pydantic import Field

from mealkit.engines.demand import Use
from mealkit.engines.engine import Recipe, Values, tokenizer_features
from mealkit.engines.hyperparameters import (
    ClassificationHyperparameters,
    EmbeddingHyperparameters,
    GenerationHyperparameters,
    RerankingHyperparameters,
)
from mealkit.engines.needed_files import model_files
from mealkit.engines.new_kits import CHAT, LABELS, RANKING, SENTENCES
from mealkit.engines.other_values import EVERY_OTHER, kept
from mealkit.engines.published_models import (
    Comments,
    PublishedModels,
    Served,
    TokenizerFiles,
    on_processors,
)
from mealkit.engines.transformers.traits import TRAITS
from mealkit.errors import Problem, problem
from mealkit.kit.load import LoadedKit
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import Gpu, Task
from mealkit.recipe.requirements import Demand


class TransformersSettings(StrictModel):
    """The flags of transformers and torch that can change an answer or its speed."""

    dtype: Annotated[Literal["float32", "float16", "bfloat16"], EVERY_OTHER] = "float32"
    """The data type of the computation, whatever type the weights are stored in."""
    device: Annotated[
        Literal["cpu", "cuda"], kept("another device needs another machine, and other packages")
    ] = "cpu"
    """cuda: the container's first GPU; without a GPU the engine does not start."""
    attn_implementation: Annotated[Literal["sdpa", "eager"], EVERY_OTHER] = "sdpa"
    """sdpa: torch's own fused attention; eager: the model's own code."""
    threads: Annotated[int, Field(ge=1, le=1024), kept("it changes the speed")] = 1
    """The number of threads within one operator, on the CPU."""
    max_batch_size: Annotated[Literal[1], EVERY_OTHER] = 1
    """How many inputs are computed together: one, so that no input changes another's answer."""
    trust_remote_code: Annotated[
        bool, kept("it decides whether code may run, not what it computes")
    ] = False
    """Whether pinned Python files among the weights may be run."""


def _problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem if the kit's device and its required GPU contradict each other."""
    device, gpu = settings["device"], loaded.kit.hardware.gpu
    if (device == "cuda") == (gpu is Gpu.REQUIRED):
        return []
    message = f"runtime.settings.device is {device}, but hardware.gpu is {gpu}"
    hint = "write device: cuda with gpu: required, or device: cpu with gpu: none"
    where = loaded.lines.where(("runtime", "settings", "device"))
    return [problem("KIT_INVALID", message, where=where, hint=hint)]


def _demand(use: Use) -> Demand | None:
    return use.demand(
        "transformers",
        context=use.number("max_length"),
        at_a_time=use.number("max_batch_size"),
        kv_dtype=use.computed_kv_dtype,
        library_version=use.release_of("transformers"),
    )


def _part(_model: Served) -> tuple[dict[str, Any], Comments]:
    comments: Comments = {
        (
            "runtime",
            "settings",
            "dtype",
        ): "The type of the computation; weights may be stored in less.",
    }
    return on_processors("transformers", {"dtype": "float32"}), comments


RECIPE = Recipe(
    name="transformers",
    worker="mealkit.engines.transformers.worker:TransformersWorker",
    hyperparameters={
        Task.GENERATION: GenerationHyperparameters,
        Task.EMBEDDINGS: EmbeddingHyperparameters,
        Task.CLASSIFICATION: ClassificationHyperparameters,
        Task.RERANKING: RerankingHyperparameters,
    },
    settings=TransformersSettings,
    requirements=(
        "torch",
        "transformers",
        "safetensors",
        "tokenizers",
        "numpy",
        "jinja2",
        "llguidance",
    ),
    # from_pretrained has the parameter dtype since transformers 4.56, which needs torch 2.2.
    bounds={
        "transformers": ">=4.56",
        "torch": ">=2.2",
        "tokenizers": ">=0.20",
        "jinja2": ">=3.1",
        "llguidance": ">=1",
    },
    # For torch.compile, torch.distributed and the Hub client, which no worker imports.
    excludes=("networkx", "fsspec", "setuptools", "hf-xet", "typer", "click"),
    environment={
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # Waiting threads that spin make torch ten times slower on shared processors.
        "OMP_WAIT_POLICY": "passive",
        "GOMP_SPINCOUNT": "0",
        # Without it, matrix products on a GPU may differ (torch's notes on randomness).
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    },
    formats=frozenset({"safetensors"}),
    # Weights in the type of the computation stay in the mapped file: 1.0 times their size,
    # measured. Half precision computed in float32 needs twice its size in memory, measured.
    memory_factor=2.1,
    # 360 MiB with the libraries and a model of 4 MiB, measured; the gateway; and 90 MiB for 500
    # tokens in a model of 400 MiB.
    memory_bytes=640 * 1024 * 1024,
    features=tokenizer_features,
    check=_problems,
    needed_files=model_files([("model.safetensors",), ("model.safetensors.index.json",)]),
    demand=_demand,
    products={
        "transformers": ("huggingface", "transformers"),
        "torch": ("linuxfoundation", "pytorch"),
    },
    traits=TRAITS,
    new_kits={
        Task.GENERATION: CHAT,
        Task.EMBEDDINGS: SENTENCES,
        Task.CLASSIFICATION: LABELS,
        Task.RERANKING: RANKING,
    },
    is_usual_for=lambda weights, generates: weights == "safetensors" and not generates,
    published_models=PublishedModels(
        weights="safetensors",
        suits=lambda _model: 1,
        part=_part,
        # The older files are converted.
        tokenizers=(
            TokenizerFiles(("tokenizer.json",)),
            TokenizerFiles(("vocab.json", "merges.txt")),
            TokenizerFiles(("vocab.txt",)),
        ),
        whole_name="model.safetensors",
        reads_quantised=False,
        left_out=(
            "a build of torch for CPUs",
            "the index's own build is for GPUs, and has gigabytes that this kit does not use",
            "name the CPU build: a kit of mealkit new --engine transformers shows how",
        ),
    ),
)

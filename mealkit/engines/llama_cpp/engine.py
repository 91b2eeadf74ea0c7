"""The build side of the llama-cpp engine: GGUF on the CPU, in the worker's process."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from mealkit.engines.demand import Use
from mealkit.engines.engine import Recipe, Values, tokenizer_features
from mealkit.engines.hyperparameters import EmbeddingHyperparameters, GenerationHyperparameters
from mealkit.engines.llama_cpp.traits import TRAITS
from mealkit.engines.needed_files import NeededFiles, named_template
from mealkit.engines.new_kits import CHAT_GGUF, NewKit
from mealkit.engines.other_values import (
    EVERY_OTHER,
    Other,
    Pinned,
    Salted,
    another_file,
    instead,
    kept,
)
from mealkit.engines.published_models import (
    Comments,
    Published,
    PublishedModels,
    Served,
    on_processors,
)
from mealkit.errors import Problem, problem
from mealkit.kit.load import LoadedKit
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import Task
from mealkit.recipe.requirements import Demand
from mealkit.strings import LoosePath

_LAST_DIGITS = "it changes the speed, and at most the last digits"
_MEMORY = "it changes the speed and the memory"

Tokens = Annotated[int, Field(ge=1, le=1_048_576), kept(_LAST_DIGITS)]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0"]


def _less_exact_values(pinned: Pinned) -> Sequence[Other]:
    """Return a quantised cache, which needs flash_attn, or the usual one."""
    if pinned.value == "q8_0":
        return (Other("f16"),)
    return (Other("q8_0", {} if pinned.values["flash_attn"] else {"flash_attn": True}),)


class LlamaCppSettings(StrictModel):
    """The flags of llama.cpp that can change an answer, its speed or its memory.

    The context is the hyperparameter max_length. Positions (RoPE and its scaling) are set by the
    GGUF.
    """

    model: Annotated[LoosePath, another_file(".gguf")] = "model.gguf"
    """The GGUF's path below /models; the first part of a GGUF in parts."""
    n_batch: Tokens = 512
    """The number of a request's tokens per batch; embeddings need at least max_length."""
    n_ubatch: Tokens = 512
    """The number of tokens that are computed together; another number changes the last bits."""
    n_parallel: Annotated[Literal[1], EVERY_OTHER] = 1
    """Concurrent requests: one, so that no request changes the numbers of another."""
    threads: Annotated[int, Field(ge=1, le=1024), kept(_LAST_DIGITS)] = 1
    """The number of threads for the computation."""
    flash_attn: Annotated[bool, EVERY_OTHER] = False
    """Compute attention without the matrix of all scores: less memory, slightly less exact."""
    cache_type_k: Annotated[CacheType, instead("q8_0", "f16")] = "f16"
    """The data type of the cached keys."""
    cache_type_v: Annotated[CacheType, Salted(_less_exact_values)] = "f16"
    """The data type of the cached values; q8_0 and q4_0 need flash_attn."""
    use_mmap: Annotated[bool, kept(_MEMORY)] = True
    """Map the file into memory instead of reading it: other containers share the memory."""
    use_mlock: Annotated[bool, kept(_MEMORY)] = False
    """Prevent the weights from being swapped out; the container needs permission for this."""
    repack: Annotated[bool, kept(_LAST_DIGITS)] = False
    """Copy quantised weights into the processor's own layout: faster, but twice the memory."""
    n_gpu_layers: Annotated[
        int, Field(ge=0, le=10_000), kept("another device needs another machine")
    ] = 0
    """The number of layers on the GPU; more than 0 needs a llama-cpp-python with GPU support."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.n_ubatch > self.n_batch:
            message = (
                f"n_ubatch is {self.n_ubatch}, expected at most n_batch, which is {self.n_batch}"
            )
            raise ValueError(message)
        if self.cache_type_v in {"q8_0", "q4_0"} and not self.flash_attn:
            message = f"cache_type_v is {self.cache_type_v}, which needs flash_attn"
            raise ValueError(message)
        return self


def _problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return a problem if a text for a vector does not fit into one batch."""
    length = loaded.kit.hyperparameters.get("max_length")
    if loaded.kit.model.task is not Task.EMBEDDINGS or not isinstance(length, int):
        return []
    found = []
    for name in ("n_batch", "n_ubatch"):
        tokens = settings[name]
        if isinstance(tokens, int) and tokens < length:
            message = f"runtime.settings.{name} is {tokens}, but a text may have {length} tokens"
            hint = f"write {name}: {length}; the vector of a text needs the whole text in one batch"
            where = loaded.lines.where(("runtime", "settings", name))
            found.append(problem("KIT_INVALID", message, where=where, hint=hint))
    return found


def _demand(use: Use) -> Demand | None:
    at_a_time = use.number("parallel", "n_parallel")
    # llama-server divides its --ctx-size among its slots.
    shared = use.number("ctx_size", "n_ctx")
    own = shared // (at_a_time or use.concurrency) if shared else use.number("max_length")
    return use.demand(
        "llama-cpp",
        context=own,
        at_a_time=at_a_time,
        kv_dtype=use.kv_dtype("cache_type_k"),
        micro_batch=use.number("ubatch_size", "n_ubatch") or 512,
        flash_attention=use.flags.get("flash_attn") not in {False, "off"},
    )


def _needed_files(task: Task, hyperparameters: Values, settings: Values) -> Iterator[NeededFiles]:
    """Yield the GGUF, which has the tokenizer and the description, too."""
    yield NeededFiles("the model", ((str(settings["model"]),),), setting="model")
    if task is Task.GENERATION:
        yield from named_template(hyperparameters)


def _suits(model: Published) -> int:
    """Return 3 for a GGUF that was named, or if there are no safetensors."""
    formats = model.bytes_by_format
    is_named = (model.named_file or "").endswith(".gguf")
    return 3 if is_named or ("gguf" in formats and "safetensors" not in formats) else 0


def _part(model: Served) -> tuple[dict[str, Any], Comments]:
    settings: dict[str, Any] = {"model": model.weight}
    if model.task is Task.EMBEDDINGS:
        # A text is computed in one batch.
        settings |= {"n_batch": model.max_length, "n_ubatch": model.max_length}
    return on_processors("llama-cpp", settings), {}


RECIPE = Recipe(
    name="llama-cpp",
    worker="mealkit.engines.llama_cpp.worker:LlamaCppWorker",
    hyperparameters={
        Task.GENERATION: GenerationHyperparameters,
        Task.EMBEDDINGS: EmbeddingHyperparameters,
    },
    settings=LlamaCppSettings,
    requirements=("llama-cpp-python", "numpy", "jinja2", "llguidance"),
    # Functions such as llama_memory_clear exist since llama-cpp-python 0.3.10.
    bounds={"llama-cpp-python": ">=0.3.10", "jinja2": ">=3.1", "llguidance": ">=1"},
    excludes=(),
    # When llama.cpp aborts, it would start a debugger; its messages are sufficient.
    environment={"GGML_NO_BACKTRACE": "1", "OMP_NUM_THREADS": "1"},
    formats=frozenset({"gguf"}),
    # The file is mapped once. The rest grows with the context: for 792 MiB of weights and
    # 4096 tokens of 8 layers, 281 MiB after loading and about 90 more for a prompt (measured). The
    # container of a model of 4 MiB needs 86 MiB.
    memory_factor=1.5,
    memory_bytes=256 * 1024 * 1024,
    features=tokenizer_features,
    check=_problems,
    needed_files=lambda *of: tuple(_needed_files(*of)),
    demand=_demand,
    computes_in="fp16",
    traits=TRAITS,
    new_kits={
        Task.GENERATION: CHAT_GGUF,
        Task.EMBEDDINGS: NewKit("vectors of a tiny Llama, which mean nothing", CHAT_GGUF.files),
    },
    is_usual_for=lambda weights, _generates: weights == "gguf",
    published_models=PublishedModels(
        weights="gguf",
        suits=_suits,
        part=_part,
        reads_configs=False,
        left_out=(
            "a wheel of llama-cpp-python",
            "no index has this wheel",
            "bash build_wheel.sh compiles it; then write wheels: [wheels] under runtime",
        ),
        # The script that compiles the wheel.
        kit_files=(
            "build_wheel.sh",
            "wheel-source.txt",
            "wheel-tools.txt",
            "wheel.sha256",
            "wheels/README.md",
        ),
    ),
)

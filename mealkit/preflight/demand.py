"""From an engine's flags to what decides about memory: its demand, and the types it computes in.

Flags are known by the names that the engines themselves give them. Refuses nothing: what is not
stated has the engine's default, and an engine that the estimator does not know has no demand.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from mealkit.memory.setting import Engine, KvDtype
from mealkit.memory.shape import Shape
from mealkit.preflight.cuda_builds import release_of
from mealkit.recipe.requirements import Demand, Dtype

# vllm serve --help; llama-server --help; transformers' GenerationConfig; onnx: hyperparameters.
_CONTEXT = ("max_model_len", "ctx_size", "n_ctx", "context_tokens", "context", "max_length")
_TOTAL_CONTEXT = ("ctx_size", "n_ctx")
_AT_A_TIME = ("max_num_seqs", "parallel", "n_parallel", "max_batch_size")
_NUMBERS = {
    "tensor_parallel": ("tensor_parallel_size", "tensor_parallel"),
    "layer_split": ("pipeline_parallel_size", "layer_split"),
    "batched_tokens": ("max_num_batched_tokens", "batched_tokens"),
    "micro_batch": ("ubatch_size", "n_ubatch", "micro_batch"),
}
_KV_DTYPE = ("kv_cache_dtype", "cache_type_k", "kv_dtype")
_KV_NAMES: dict[str, KvDtype] = {
    "fp8_e4m3": "fp8",
    "fp8_e5m2": "fp8",
    "float16": "f16",
    "bfloat16": "bf16",
    "float32": "f32",
}
_DTYPES: dict[str, Dtype] = {
    "float32": "fp32",
    "float": "fp32",
    "f32": "fp32",
    "fp32": "fp32",
    "float16": "fp16",
    "half": "fp16",
    "f16": "fp16",
    "fp16": "fp16",
    "bfloat16": "bf16",
    "bf16": "bf16",
}
_CACHED: dict[Dtype, KvDtype] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
_WIDTHS: dict[Dtype, int] = {"fp32": 4, "fp16": 2, "bf16": 2}
# What NVIDIA and the engines that use it ask for where processes share their GPUs' work:
# https://docs.nvidia.com/nim/large-language-models/latest/ (--shm-size=16GB), vllm#1771
_SHARED_BYTES = 16 * 2**30


def demand_of(
    engine: str,
    flags: Mapping[str, Any],
    concurrency: int,
    model: Shape | None,
    packages: Sequence[tuple[str, str]] = (),
) -> Demand | None:
    """Return what an engine demands under its flags; None where nothing can be said.

    ``concurrency`` is how many requests the gateway lets through at a time.
    """
    if engine not in get_args(Engine):
        return None
    at_a_time = 1 if _is_onnx_text(engine, model) else _number(flags, _AT_A_TIME)
    together = min(concurrency, at_a_time) if at_a_time else concurrency
    context = _context(engine, flags, at_a_time or concurrency)
    if context is None:
        context = model.max_positions if model else None
    if context is None:
        return None
    stated: dict[str, Any] = {
        name: found for name, names in _NUMBERS.items() if (found := _number(flags, names))
    }
    if isinstance(flags.get("gpu_memory_utilization"), (int, float)):
        stated["utilisation"] = float(flags["gpu_memory_utilization"])
    if isinstance(flags.get("enforce_eager"), bool):
        stated["cuda_graphs"] = not flags["enforce_eager"]
    if flags.get("flash_attn") in {False, "off"}:
        stated["flash_attention"] = False
    versions = dict(packages)
    return Demand(
        engine=cast("Engine", engine),
        context_tokens=context,
        concurrency=together,
        kv_dtype=_kv_dtype(engine, flags, model),
        float_bytes=_float_bytes(engine, flags),
        transformers_version=release_of(versions["transformers"])
        if "transformers" in versions
        else None,
        **stated,
    )


def dtypes_of(engine: str, flags: Mapping[str, Any], model: Shape | None) -> tuple[Dtype, ...]:
    """Return the types that an engine computes in: as it was told, else those of the weights."""
    found: list[Dtype] = []
    stored = model.bytes_by_dtype if model else {}
    stated = _stated_dtype(flags)
    if stated:
        found.append(stated)
    elif engine == "llama-cpp":
        found.append("fp16")
    elif "BF16" in stored:
        found.append("bf16")
    elif "F16" in stored:
        found.append("fp16")
    elif "F32" in stored:
        found.append("fp32")
    method = model.quantisation.method if model and model.quantisation else ""
    if "fp8" in method or any(name.startswith("F8_") for name in stored):
        found.append("fp8")
    if "fp4" in method or "F4" in stored:
        found.append("fp4")
    return tuple(found)


def shared_memory_bytes(demand: Demand | None) -> int:
    """Return the shared memory that an engine needs: much, where several GPUs work together."""
    return _SHARED_BYTES if demand and demand.tensor_parallel > 1 else 0


def _context(engine: str, flags: Mapping[str, Any], at_a_time: int) -> int | None:
    context = _number(flags, _CONTEXT)
    # llama-server shares out its --ctx-size among its slots.
    if context and engine == "llama-cpp" and _number(flags, _TOTAL_CONTEXT) == context:
        return context // at_a_time
    return context


def _kv_dtype(engine: str, flags: Mapping[str, Any], model: Shape | None) -> KvDtype:
    computed = _stated_dtype(flags)
    if engine == "transformers" and computed:
        return _CACHED[computed]  # DynamicCache keeps keys and values as they were computed
    if engine == "onnx":
        return "f32"  # as graphs for CPUs have it
    stated = next((flags[name] for name in _KV_DTYPE if isinstance(flags.get(name), str)), "auto")
    named = _KV_NAMES.get(stated, stated)
    if named in get_args(KvDtype):
        return cast("KvDtype", named)
    return "bf16" if model and "BF16" in model.bytes_by_dtype else "f16"


def _float_bytes(engine: str, flags: Mapping[str, Any]) -> int | None:
    """Return the width that float weights are cast to; None: as they are stored."""
    # onnxruntime's kernels for CPUs compute in 32 bit, and it casts what is constant when it loads.
    return 4 if engine == "onnx" else _WIDTHS.get(_stated_dtype(flags) or "int8")


def _is_onnx_text(engine: str, model: Shape | None) -> bool:
    """Return whether onnxruntime writes text, which it does for one request at a time."""
    return engine == "onnx" and model is not None and model.generates


def _stated_dtype(flags: Mapping[str, Any]) -> Dtype | None:
    for name in ("dtype", "torch_dtype"):
        found = flags.get(name)
        if isinstance(found, str) and found in _DTYPES:
            return _DTYPES[found]
    return None


def _number(flags: Mapping[str, Any], names: Sequence[str]) -> int | None:
    for name in names:
        found = flags.get(name)
        if type(found) is int and found > 0:
            return found
    return None

"""What made-up kits need: of models whose numbers are published, made with the code of the lock."""

from typing import Any

from fakes.engines import computed_dtypes, demand_of
from mealkit.engines.demand import shared_memory_bytes
from mealkit.memory.shape import Quantisation, Shape
from mealkit.recipe.cuda_builds import built_for, cuda_of
from mealkit.recipe.kit import Architecture, Gpu
from mealkit.recipe.requirements import Requirements

GIB = 1024**3
PACKAGES = (
    ("nvidia-cuda-runtime-cu12", "12.4.127"),
    ("torch", "2.6.0"),
    ("vllm", "0.8.5"),
)

# Qwen/Qwen2.5-7B-Instruct: config.json, and model.safetensors.index.json (total_size).
SEVEN = Shape(
    bytes_by_dtype={"BF16": 15_231_233_024},
    layers=28,
    hidden_size=3584,
    intermediate_size=18944,
    heads=28,
    kv_heads=4,
    head_dimension=128,
    vocabulary=152064,
    max_positions=131072,
)

# meta-llama/Llama-3.1-70B-Instruct: config.json, and model.safetensors.index.json (total_size).
SEVENTY = Shape(
    bytes_by_dtype={"BF16": 141_107_412_992},
    layers=80,
    hidden_size=8192,
    intermediate_size=28672,
    heads=64,
    kv_heads=8,
    head_dimension=128,
    vocabulary=128256,
    max_positions=131072,
)

# The same in 4 bit (AWQ): 68.45 x 10^9 numbers of the layers at 4 bit and 20 bit for each 128 of
# them, 2.10 x 10^9 of embeddings and output at 16.
SEVENTY_4BIT = Shape(
    bytes_by_dtype={"F16": 6_300_000_000, "I32": 33_500_000_000},
    layers=80,
    hidden_size=8192,
    intermediate_size=28672,
    heads=64,
    kv_heads=8,
    head_dimension=128,
    vocabulary=128256,
    max_positions=131072,
    quantisation=Quantisation("awq", 4),
)


def cpu_needs(**changes: Any) -> Requirements:
    """A kit for the processor: 4 GiB of weights."""
    values: dict[str, Any] = {
        "architectures": (Architecture.AMD64,),
        "gpu": Gpu.NONE,
        "memory_bytes": 8 * GIB,
        "disk_bytes": 10 * GIB,
        "weights_bytes": 4 * GIB,
    }
    return Requirements(**(values | changes))


def gpu_needs(
    model: Shape | None = SEVEN,
    engine: str = "vllm",
    flags: dict[str, Any] | None = None,
    concurrency: int = 1,
    packages: tuple[tuple[str, str], ...] = PACKAGES,
    **changes: Any,
) -> Requirements:
    """A kit that needs GPUs, its needs made as the lock makes them."""
    stated = {"max_length": 8192} | (flags or {})
    demand = demand_of(engine, stated, concurrency, model, packages)
    cuda = cuda_of(packages)
    weights = model.file_bytes if model else 15 * GIB
    values: dict[str, Any] = {
        "gpu": Gpu.REQUIRED,
        "memory_bytes": 16 * GIB,
        "disk_bytes": weights + 12 * GIB,
        "weights_bytes": weights,
        "model": model,
        "demand": demand,
        "dtypes": computed_dtypes(engine, stated, model),
        "cuda": f"{cuda[0]}.{cuda[1]}" if cuda else None,
        "built_for": built_for(packages, "amd64"),
        "shm_bytes": shared_memory_bytes(demand),
    }
    return cpu_needs(**(values | changes))

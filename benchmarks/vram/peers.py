"""What other tools would estimate for the same measurements, by their published formulas.

gguf-parser-go is left out: it reads GGUF files, and no complete measurement here is of one.
"""

from collections.abc import Callable, Mapping

from benchmarks.vram.rows import Case
from mealkit.memory.terms import GIB, MIB

Peer = Callable[[Case], float]


def accelerate(case: Case) -> float:
    """Weights and 20 %. Source: accelerate's estimate-memory, and its documentation."""
    return 1.2 * case.shape.loaded_bytes


def gpustack(case: Case) -> float:
    """Weights and 20 %, and 2 GiB. Source: gpustack, estimate_model_vram."""
    return 1.2 * case.shape.loaded_bytes + 2 * GIB


def kaito(case: Case) -> float:
    """Weights, cache and a reserve for each GPU. Source: kaito, nodesestimator/estimator.go."""
    shape = case.shape
    token = 2 * shape.layers * shape.kv_heads * shape.head_dimension * 2
    return (
        1.02 * 1.05 * shape.loaded_bytes
        + 2.3 * GIB * case.row.gpus
        + token * case.setting.context_tokens * case.row.batch
    )


def ollama(case: Case) -> float:
    """File, cache with a head dimension of width/heads, and 457 MiB for each GPU.

    Source: ollama, llm/llama_server.go and ml/device.go.
    """
    shape = case.shape
    dimension = shape.hidden_size // shape.heads
    token = 2 * shape.layers * shape.kv_heads * dimension * 2
    cache = token * case.setting.context_tokens * case.row.batch
    return shape.file_bytes + cache + 457 * MIB * case.row.gpus


def localai(case: Case) -> float:
    """File and 4 %, 0.15 GB, and a cache without layers. Source: LocalAI, pkg/vram/estimate.go."""
    shape = case.shape
    cache = 2 * shape.hidden_size * shape.kv_heads * case.setting.context_tokens
    return 1.04 * shape.file_bytes + cache * case.row.batch + 0.15e9


PEERS: Mapping[str, Peer] = {
    "KAITO": kaito,
    "Ollama": ollama,
    "LocalAI": localai,
    "GPUStack": gpustack,
    "accelerate": accelerate,
}

"""Estimates a process's memory on a GPU besides tensors: CUDA context and reserved memory."""

from mealkit.memory.setting import Compared, Setting
from mealkit.memory.terms import MIB, Term, between

# Measured contexts are between 254 MiB (A100, torch without cuBLAS kernels loaded) and 600 MiB
# (H100, many kernels); gguf-parser-go counts 250 MiB.
_CONTEXT = (200 * MIB, 450 * MIB)
_COLLECTIVES = (100 * MIB, 300 * MIB, 1800 * MIB)


def context_term(setting: Setting) -> Term:
    """Return the term of the CUDA context, with NCCL's buffers if several GPUs share each layer."""
    low, likely, high = *_CONTEXT, setting.engine.most_context_bytes
    formula = "driver, kernels and stacks of one process"
    if setting.tensor_parallel > 1:
        low, likely, high = (
            first + second for first, second in zip((low, likely, high), _COLLECTIVES, strict=True)
        )
        formula += ", and NCCL's buffers"
    return between(
        "cuda context",
        (low, likely, high),
        formula,
        "gguf-parser-go counts 250 MiB; vLLM logs 0.16 to 1.79 GiB as non-torch memory",
    )


def is_device(setting: Setting) -> bool:
    """Return whether the whole device's memory is estimated, not only PyTorch's allocations."""
    return setting.compared is Compared.DEVICE


def reserved_term(tensor_bytes: int) -> Term:
    """Return the term of memory that PyTorch reserves without using it: a share of what changes."""
    return between(
        "reserved, unused",
        (0, 0.05 * tensor_bytes, 0.25 * tensor_bytes),
        f"0 to 25 % of {tensor_bytes / MIB:.0f} MiB of temporary tensors",
        "c10/cuda/CUDACachingAllocator.cpp: the process keeps freed blocks",
    )

"""What a process holds on a GPU besides tensors: the CUDA context, and reserved memory."""

from mealkit.memory.setting import Compared, Setting
from mealkit.memory.terms import MIB, Term, between

# Measured contexts lie between 254 MiB (A100, torch without cuBLAS kernels loaded) and 600 MiB
# (H100, many kernels); gguf-parser-go counts 250 MiB.
_CONTEXT = (200 * MIB, 450 * MIB)
_COLLECTIVES = (100 * MIB, 300 * MIB, 1800 * MIB)


def context_term(setting: Setting) -> Term:
    """Return the CUDA context, and NCCL's buffers where GPUs work together on one layer."""
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
    """Tell whether the whole device is counted, not only what PyTorch has handed out."""
    return setting.compared is Compared.DEVICE


def reserved_term(tensor_bytes: int) -> Term:
    """Return what PyTorch keeps reserved beyond what it hands out, a share of what changes."""
    return between(
        "reserved, unused",
        (0, 0.05 * tensor_bytes, 0.25 * tensor_bytes),
        f"0 to 25 % of {tensor_bytes / MIB:.0f} MiB that come and go",
        "c10/cuda/CUDACachingAllocator.cpp: freed blocks stay with the process",
    )

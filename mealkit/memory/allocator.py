"""Estimates the overhead of PyTorch's caching allocator over the sizes of tensors.

Source: c10/cuda/CUDACachingAllocator.cpp: sizes are rounded up to 512 bytes; tensors above 1 MiB
come from blocks of 20 MiB, those of 10 MiB or more from blocks that are rounded up to 2 MiB; a
remainder of 1 MiB or less is not split off, and counts as allocated.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from mealkit.memory.shape import Matrix, Shape
from mealkit.memory.terms import MIB

_ROUND = 512
_SMALL = MIB
# Three for each expert: real models have up to 512 of them.
_MATRICES_OF_A_KIND = 2048
_MEDIUM = 10 * MIB
_MEDIUM_BLOCK = 20 * MIB
_LARGE_ROUND = 2 * MIB

# One workspace of cuBLAS, which it allocates for its first product: 8.125 MiB, and
# 32 MiB on Hopper. Source: aten/src/ATen/cuda/CublasHandlePool.cpp (getChosenWorkspaceSize).
WORKSPACE_BYTES = 8_519_680
WORKSPACE_HOPPER_BYTES = 32 * MIB


def workspace_bytes(compute_capability: tuple[int, int]) -> int:
    """Return the size of one cuBLAS workspace."""
    return WORKSPACE_HOPPER_BYTES if compute_capability[0] == 9 else WORKSPACE_BYTES


def rounding_bytes(sizes: Iterable[int]) -> int:
    """Return the allocator's overhead when tensors of these sizes are allocated in this order."""
    free: list[int] = []
    added = 0
    for size in sizes:
        wanted = -(-size // _ROUND) * _ROUND
        added += wanted - size
        if wanted <= _SMALL:
            continue
        place = bisect_left(free, wanted)
        block = free.pop(place) if place < len(free) else _new_block(wanted)
        if block - wanted > _SMALL:
            insort(free, block - wanted)
        else:
            added += block - wanted
    return added


def loading_rounding_bytes(shape: Shape) -> int:
    """Return the overhead of rounding for a model whose weights are loaded tensor by tensor.

    Computes it for a few equal layers, and for a few equal matrices of a layer, and extrapolates.
    """
    kinds = [matrix for matrix in shape.matrices() if matrix.count >= shape.layers]
    few = min(shape.layers, 4)
    most = max(matrix.count // shape.layers for matrix in kinds)
    share = -(-most // _MATRICES_OF_A_KIND)
    sizes = [
        _bytes_of(matrix, shape)
        for matrix in kinds
        for _ in range(-(-matrix.count // shape.layers // share))
    ]
    return rounding_bytes(sizes * few) * share * shape.layers // few


def large_tensors(size_bytes: float, count: int) -> int:
    """Return how many of these tensors the allocator may round up by up to 1 MiB."""
    return count if size_bytes > _SMALL else 0


def _bytes_of(matrix: Matrix, shape: Shape) -> int:
    return int(matrix.parameters * shape.weight_bits / 8)


def _new_block(wanted: int) -> int:
    if wanted < _MEDIUM:
        return _MEDIUM_BLOCK
    return -(-wanted // _LARGE_ROUND) * _LARGE_ROUND

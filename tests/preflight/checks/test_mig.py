"""GPUs that are cut into slices."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    gpu,
    look,
    server,
    severity,
)
from fakes.needs import GIB, gpu_needs

from mealkit.preflight.nvidia import Slice


def cut(*slices):
    return gpu(mig_enabled=True, slices=slices)


def part(index, gib):
    return Slice(
        index=index,
        name=f"MIG {index}",
        uuid=None,
        compute_slices=3,
        gpu_slices=3,
        multiprocessors=42,
        memory_total_bytes=gib * GIB,
        memory_free_bytes=gib * GIB,
    )


@pytest.mark.parametrize(
    ("facts", "gpus", "expected"),
    [
        (server(), 1, None),
        (server(cut(part(0, 20))), 1, PASSES),
        (server(cut(part(0, 20), part(1, 20))), 2, BLOCKS),
        (server(cut()), 1, BLOCKS),
    ],
)
def test_slices(facts, gpus, expected):
    """One slice can be used, several cannot, and a GPU that is cut has nothing beside them."""
    needs = gpu_needs(flags={"tensor_parallel_size": gpus})
    assert severity("HW_MIG", facts, needs) is expected


def test_memory_of_a_slice_counts():
    """Not that of the card it was cut from."""
    vram = look("FIT_VRAM", server(cut(part(0, 10))), gpu_needs())
    assert vram.severity is BLOCKS
    assert vram.measured == "9.0 GiB at most"

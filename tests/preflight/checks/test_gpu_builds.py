"""Packages with code for the GPU."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    look,
    nvidia,
    server,
)
from fakes.needs import gpu_needs

BUILT = {"torch 2.6.0": ("7.0", "8.0", "9.0")}


@pytest.mark.parametrize(
    ("capability", "built", "driver_cuda", "expected"),
    [
        ((8, 9), BUILT, (12, 4), PASSES),  # code for 8.0 runs on 8.9
        ((6, 1), BUILT, (12, 4), BLOCKS),
        ((12, 0), BUILT, (12, 8), BLOCKS),
        # From PTX, if the driver knows that CUDA.
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, (12, 8), PASSES),
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, (12, 2), WARNS),
        ((12, 0), {"torch 2.6.0": ("9.0+PTX",)}, None, WARNS),
        ((6, 1), {"torch 2.6.0": ("7.0+PTX",)}, (12, 4), BLOCKS),
        # One package is enough to fail; one that is not known leaves doubt.
        ((12, 0), {"torch 2.7.0": ("12.0",), "vllm 0.8.5": ("9.0",)}, (12, 8), BLOCKS),
        ((8, 0), {"torch 2.6.0": ("8.0",), "flash-attn 2.7.4": None}, (12, 4), WARNS),
        ((8, 0), {}, (12, 4), WARNS),
        (None, BUILT, (12, 4), WARNS),
    ],
)
def test_packages_built_for_the_gpu(capability, built, driver_cuda, expected):
    """Code for a GPU runs on it and on later ones of its generation; PTX is compiled for any."""
    facts = server(nvidia=nvidia(gpu(compute_capability=capability), cuda=driver_cuda))
    finding = look("HW_ARCHLIST", facts, gpu_needs(built_for=built))
    assert finding.severity is expected
    assert finding.owner == "kit-author"

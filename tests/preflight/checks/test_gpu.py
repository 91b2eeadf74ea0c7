"""A GPU that is seen, of the maker that packages are for."""

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
from fakes.machines import made_facts
from fakes.needs import GIB, cpu_needs, gpu_needs

from mealkit.preflight.amd import Amd, AmdGpu
from mealkit.recipe.kit import Gpu

AMD = Amd(
    kfd=True,
    gpus=(AmdGpu(node=1, target="gfx942", memory_total_bytes=192 * GIB, memory_used_bytes=GIB),),
)


@pytest.mark.parametrize(
    ("facts", "needs", "expected", "measured"),
    [
        (server(), gpu_needs(), PASSES, "A100"),
        (server(gpu(0), gpu(1)), gpu_needs(), PASSES, "2 x A100"),
        (made_facts(), gpu_needs(), BLOCKS, "none"),
        (made_facts(nvidia=nvidia()), gpu_needs(), BLOCKS, "none (NVIDIA's driver 550.54.15"),
        # Another maker's: certain for packages of CUDA, in doubt for others.
        (made_facts(amd=AMD, gpu_devices=("kfd",)), gpu_needs(), BLOCKS, "AMD gfx942"),
        (made_facts(amd=AMD, gpu_devices=("kfd",)), gpu_needs(packages=()), WARNS, "AMD gfx942"),
        (made_facts(gpu_devices=("kfd",)), gpu_needs(packages=()), WARNS, "/dev/kfd"),
        (made_facts(gpu_devices=("dxg",)), gpu_needs(), PASSES, "/dev/dxg"),
        (server(gpu(lost=True)), gpu_needs(), BLOCKS, "none"),
        (made_facts(), cpu_needs(), None, ""),
        (made_facts(), gpu_needs(gpu=Gpu.OPTIONAL), None, ""),
    ],
)
def test_gpu(facts, needs, expected, measured):
    """A GPU that is required must be seen, and be of the maker that packages are for."""
    finding = look("HW_NO_GPU", facts, needs)
    assert (finding and finding.severity) is expected
    assert finding is None or finding.measured.startswith(measured)

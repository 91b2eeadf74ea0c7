"""The instructions that the engine is compiled for."""

import pytest
from fakes.gpu_servers import BLOCKS, PASSES, WARNS
from fakes.machines import made_facts
from fakes.needs import cpu_needs

from mealkit.engines.registry import traits_of
from mealkit.preflight.checks.instruction_sets import CHECK
from mealkit.preflight.cpu import Cpu
from mealkit.preflight.finding import Context
from mealkit.recipe.kit import Gpu
from mealkit.recipe.traits import EngineTraits

NEEDS_AVX2 = traits_of("vllm")


def processor(*features, **changes):
    return Cpu(**{"model": "made up", "features": features, "count": 8, "limit": None, **changes})


@pytest.mark.parametrize(
    ("cpu", "needs", "engine", "expected"),
    [
        (processor("avx", "avx2", "fma"), {}, NEEDS_AVX2, PASSES),
        (processor("avx"), {}, NEEDS_AVX2, BLOCKS),
        (processor(unknown={"features": "no permission"}), {}, NEEDS_AVX2, WARNS),
        (processor("avx"), {}, EngineTraits(), None),
        (processor("avx"), {"gpu": Gpu.REQUIRED}, NEEDS_AVX2, None),
        (processor("avx"), {"architectures": ("arm64",)}, NEEDS_AVX2, None),
    ],
)
def test_a_processor_without_the_engines_instructions_blocks(cpu, needs, engine, expected):
    """The engine would end with an illegal instruction; emulated kits have another processor."""
    found = CHECK.look(made_facts(cpu=cpu), cpu_needs(**needs), Context(engine))
    assert (found and found.severity) == expected

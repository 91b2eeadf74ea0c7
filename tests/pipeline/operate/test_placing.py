"""Whether two revisions fit beside each other, from facts about machines."""

import pytest
from fakes.gpu_servers import gpu, server
from fakes.machines import made_facts
from fakes.needs import GIB, cpu_needs, gpu_needs

from mealkit.pipeline.machine.stated_needs import Stated
from mealkit.pipeline.operate.placing import Use, place
from mealkit.preflight.nvidia import GpuProcess

OLD = GpuProcess(pid=7, name="python", memory_bytes=30 * GIB, kinds=("compute",))
OTHER = GpuProcess(pid=8, name="python", memory_bytes=30 * GIB, kinds=("compute",))


def stated(requirements) -> Stated:
    return Stated("kit:1", requirements, None, is_here=True)


@pytest.mark.parametrize(
    ("available", "used", "reason"),
    [
        pytest.param(20, 5, None, id="both fit"),
        pytest.param(3, 5, "memory available: 3.0 GiB, required 4", id="only one fits"),
        pytest.param(1, 2, None, id="the old one makes no difference"),
    ],
)
def test_main_memory(available, used, reason):
    """The old revision stops first only if that makes the new one fit; the numbers are said."""
    facts = made_facts(
        memory_total_bytes=32 * GIB,
        memory_available_bytes=available * GIB,
        memory_limit_bytes=None,
    )
    needs = cpu_needs(memory_bytes=4 * GIB)
    found = place(stated(needs), facts, Use(used * GIB))
    assert found.stops_first is (reason is not None)
    if reason is not None:
        assert reason in str(found.reason)
        assert found.facts.memory_available_bytes == (available + used) * GIB


@pytest.mark.parametrize(
    ("card", "needs", "stops_first"),
    [
        pytest.param(gpu(), gpu_needs(), False, id="both fit"),
        pytest.param(
            gpu(memory_free_bytes=9 * GIB, processes=(OLD,)), gpu_needs(), True, id="one fits"
        ),
        pytest.param(
            gpu(memory_free_bytes=9 * GIB, processes=(OTHER,)), gpu_needs(), False, id="another's"
        ),
        pytest.param(
            gpu(memory_free_bytes=9 * GIB, processes=(OLD,)),
            gpu_needs(engine="house-made"),
            True,
            id="not known, less free than the old one has",
        ),
        pytest.param(
            gpu(memory_free_bytes=40 * GIB, processes=(OLD,)),
            gpu_needs(engine="house-made"),
            False,
            id="not known, as much free as the old one has",
        ),
    ],
)
def test_memory_of_gpus(card, needs, stops_first):
    """Only what the old revision's own processes have is added to what is free."""
    found = place(stated(needs), server(card), Use(0, {7: 30 * GIB}))
    assert found.stops_first is stops_first, found.reason
    if stops_first:
        assert "free of" in str(found.reason)

"""A driver that answers, and agrees with its libraries."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    INSIDE,
    PASSES,
    WARNS,
    gpu,
    look,
    nvidia,
    server,
    severity,
)
from fakes.needs import gpu_needs

from mealkit.preflight.nvidia import Access


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        ({}, "HOST_DRIVER_MISSING", PASSES),
        # CUDA may work all the same.
        ({"access": Access.NO_LIBRARY, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.NO_CLIENT, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.TIMED_OUT, "count": 2}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.NO_DRIVER, "gpus": (), "count": None}, "HOST_DRIVER_MISSING", BLOCKS),
        ({"libcuda": False}, "HOST_DRIVER_MISSING", WARNS),
        ({"access": Access.VERSION_MISMATCH}, "HOST_DRIVER_MISSING", None),
        ({"access": Access.VERSION_MISMATCH}, "HOST_NVML_MISMATCH", BLOCKS),
        ({}, "HOST_NVML_MISMATCH", None),
    ],
)
def test_driver_that_answers(changes, code, expected):
    """No driver, or one that contradicts its libraries, is certain; silence is not."""
    values = {"reason": "so it said"} | changes
    facts = server(nvidia=nvidia(gpu(), **values))
    assert severity(code, facts, gpu_needs()) is expected


def test_no_libcuda_in_the_container():
    """There the engine would have to load it."""
    facts = server(nvidia=nvidia(gpu(), libcuda=False))
    finding = look("HOST_DRIVER_MISSING", facts, gpu_needs(), INSIDE)
    assert finding.severity is BLOCKS
    assert "NVIDIA_DRIVER_CAPABILITIES" in finding.remedy

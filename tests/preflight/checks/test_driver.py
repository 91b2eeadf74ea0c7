"""The first driver of each CUDA."""

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


@pytest.mark.parametrize(
    ("driver", "cuda", "expected"),
    [
        ("450.80.02", "11.8", PASSES),
        ("418.40.04", "11.0", BLOCKS),
        ("525.60.13", "12.8", PASSES),
        ("520.61.05", "12.0", BLOCKS),
        ("580.65.06", "13.0", PASSES),
        ("575.57.08", "13.0", BLOCKS),
        ("580.65.06", "14.0", WARNS),
        ("580.65.06", None, WARNS),
        (None, "12.4", WARNS),
    ],
)
def test_driver_floor(driver, cuda, expected):
    """Each major version of CUDA has its first driver."""
    finding = look(
        "HOST_DRIVER_OLD", server(nvidia=nvidia(gpu(), driver=driver)), gpu_needs(cuda=cuda)
    )
    assert finding.severity is expected
    assert finding.measured == (driver or "unknown")
    if expected is BLOCKS:
        assert finding.owner == "platform"

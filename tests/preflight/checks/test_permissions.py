"""Device files that this process may use."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    INSIDE,
    PASSES,
    WARNS,
    gpu,
    nvidia,
    server,
    severity,
)
from fakes.needs import gpu_needs

from mealkit.preflight.nvidia import Access


@pytest.mark.parametrize(
    ("facts", "context", "expected"),
    [
        (server(), INSIDE, PASSES),
        (server(), {}, None),
        (server(), {"inside": True, "closed_devices": {"/dev/nvidia0": "closed"}}, BLOCKS),
        (server(nvidia=nvidia(gpu(), access=Access.NO_PERMISSION)), {}, WARNS),
    ],
)
def test_permissions(facts, context, expected):
    """A device file that is closed to the container is certain."""
    assert severity("HOST_PERMISSIONS", facts, gpu_needs(), context) is expected

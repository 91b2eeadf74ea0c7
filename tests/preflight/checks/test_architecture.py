"""The architecture that the image is for."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import cpu_needs


@pytest.mark.parametrize(("machine", "expected"), [("amd64", PASSES), ("arm64", BLOCKS)])
def test_architecture(machine, expected):
    """Another architecture's instructions cannot be run."""
    facts = made_facts(architecture=machine)
    assert severity("HOST_ARCHITECTURE", facts, cpu_needs()) is expected

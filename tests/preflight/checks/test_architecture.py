"""The architecture that the image is for."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import cpu_needs


@pytest.mark.parametrize(
    ("machine", "emulated", "expected"),
    [
        ("amd64", (), PASSES),
        ("amd64", ("arm64",), PASSES),
        ("arm64", (), BLOCKS),
        ("arm64", ("s390x",), BLOCKS),
        ("arm64", ("amd64",), WARNS),
    ],
)
def test_architecture(machine, emulated, expected):
    """Another architecture's instructions run only if the machine has an emulator for them."""
    facts = made_facts(architecture=machine, emulated=emulated)
    assert severity("HOST_ARCHITECTURE", facts, cpu_needs()) is expected

"""Podman's way to hand on GPUs."""

from pathlib import Path

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    server,
    severity,
)
from fakes.needs import gpu_needs

from mealkit.preflight.container_client import Client
from mealkit.preflight.toolkit import CdiSpec, Toolkit


def docker(**changes):
    values = {"name": "docker", "problem": None, "data_root": Path("/var/lib/docker")}
    return Client(**(values | changes))


CDI = Toolkit(programs={}, cdi=(CdiSpec(path=Path("/etc/cdi/n.yaml"), kind="nvidia.com/gpu"),))

OTHER = Toolkit(programs={}, cdi=(CdiSpec(path=Path("/etc/cdi/a.yaml"), kind="amd.com/gpu"),))

CLOSED = Toolkit(programs={}, cdi=(), unknown={"cdi": "/etc/cdi: Permission denied"})

NONE = Toolkit(programs={}, cdi=())


@pytest.mark.parametrize(
    ("toolkit", "expected"), [(CDI, PASSES), (NONE, BLOCKS), (OTHER, BLOCKS), (CLOSED, WARNS)]
)
def test_cdi(toolkit, expected):
    """Podman asks for nvidia.com/gpu by name; a folder that cannot be read leaves doubt."""
    broken = docker(problem="it does not answer")
    podman = Client(name="podman", problem=None)
    facts = server(clients=(broken, podman), toolkit=toolkit)
    assert severity("HOST_CDI_MISSING", facts, gpu_needs()) is expected
    # Where docker is asked for by name, podman's specs do not matter.
    assert severity("HOST_CDI_MISSING", facts, gpu_needs(), {"client": "docker"}) is None

"""Docker's way to hand on GPUs."""

from pathlib import Path

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    INSIDE,
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


CTK = Toolkit(programs={"nvidia-ctk": "/usr/bin/nvidia-ctk"}, cdi=())

CDI = Toolkit(programs={}, cdi=(CdiSpec(path=Path("/etc/cdi/n.yaml"), kind="nvidia.com/gpu"),))

NONE = Toolkit(programs={}, cdi=())


@pytest.mark.parametrize(
    ("client", "toolkit", "expected"),
    [
        (docker(), CTK, PASSES),
        (docker(runtimes=("nvidia", "runc")), NONE, PASSES),
        (docker(cdi_folders=(Path("/etc/cdi"),)), CDI, PASSES),
        (docker(), CDI, BLOCKS),  # it does not speak CDI
        (docker(), NONE, BLOCKS),
        (docker(data_root=None), NONE, WARNS),  # a daemon on another machine
        (Client(name="sandbox", problem=None), NONE, WARNS),
        (Client(name="podman", problem=None), NONE, None),
    ],
)
def test_toolkit(client, toolkit, expected):
    """Docker that knows no way to hand on GPUs will refuse."""
    facts = server(clients=(client,), toolkit=toolkit)
    assert severity("HOST_TOOLKIT_MISSING", facts, gpu_needs()) is expected
    assert severity("HOST_TOOLKIT_MISSING", facts, gpu_needs(), INSIDE) is None

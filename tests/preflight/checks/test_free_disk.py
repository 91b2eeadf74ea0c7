"""Room for what will be written."""

from pathlib import Path

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    INSIDE,
    PASSES,
    WARNS,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import GIB, cpu_needs

from mealkit.preflight.disk import Disk


@pytest.mark.parametrize(
    ("free", "context", "expected"),
    [
        (11 * GIB, {"disk_path": Path("/store")}, PASSES),
        (9 * GIB, {"disk_path": Path("/store")}, BLOCKS),
        (9 * GIB, {"disk_path": Path("/store"), "disk_bytes": GIB}, PASSES),
        (None, {"disk_path": Path("/store")}, WARNS),
        (11 * GIB, {"disk_path": Path("/elsewhere")}, WARNS),
        # Nobody has said where on that machine.
        (11 * GIB, {}, PASSES),
        (9 * GIB, {}, WARNS),
        (9 * GIB, INSIDE, None),
    ],
)
def test_disk(free, context, expected):
    """Where it is known what will be written where, too little is certain."""
    facts = made_facts(disks=(Disk(path=Path("/store"), free_bytes=free, total_bytes=None),))
    assert severity("HOST_DISK", facts, cpu_needs(), context) is expected
    assert severity("HOST_DISK", made_facts(), cpu_needs()) is None

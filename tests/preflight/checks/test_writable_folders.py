"""Folders that must be written to."""

from fakes.gpu_servers import (
    BLOCKS,
    look,
)
from fakes.machines import made_facts
from fakes.needs import cpu_needs


def test_folders_that_are_closed():
    """A folder that must be written to and cannot be ends it."""
    context = {"closed_folders": {"/store": "user 65532 may not write to /store"}}
    finding = look("DISK_DENIED", made_facts(), cpu_needs(), context)
    assert (finding.severity, finding.measured) == (BLOCKS, "user 65532 may not write to /store")
    assert look("DISK_DENIED", made_facts(), cpu_needs()) is None

"""A clock that tells a possible time."""

import pytest
from fakes.gpu_servers import (
    WARNS,
    severity,
)
from fakes.machines import made_facts
from fakes.needs import cpu_needs


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, WARNS), (1.9e9, None), (None, None)])
def test_clock(seconds, expected):
    """A clock before this code was written is wrong; of a later one nothing is known."""
    context = {"clock_seconds": seconds}
    assert severity("HOST_CLOCK", made_facts(), cpu_needs(), context) is expected

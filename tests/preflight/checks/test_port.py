"""The port that the kit is published on."""

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
    ("context", "expected"),
    [
        ({"port": 8000, "port_is_free": True}, PASSES),
        ({"port": 8000, "port_is_free": False}, WARNS),
        ({"port": 8000, "port_is_free": False, "starting": True}, BLOCKS),
        ({"port": 80, "port_is_free": None}, None),
        ({}, None),
    ],
)
def test_port(context, expected):
    """Whoever only asks could choose another port; whoever starts has chosen."""
    assert severity("PORT_TAKEN", made_facts(), cpu_needs(), context) is expected

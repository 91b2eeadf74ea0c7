"""Errors of a GPU's memory."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    server,
    severity,
)
from fakes.needs import gpu_needs


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PASSES),
        ({"ecc_uncorrected": 2}, WARNS),
        ({"remap_pending": True}, WARNS),
        ({"retired_pages_pending": True}, WARNS),
        ({"remap_failed": True}, BLOCKS),
        ({"ecc_uncorrected": None}, WARNS),
        ({"ecc_enabled": None, "ecc_uncorrected": None}, PASSES),  # a card without
    ],
)
def test_errors_of_memory(changes, expected):
    """Errors leave doubt; memory that could not be replaced does not."""
    assert severity("HW_ECC", server(gpu(**changes)), gpu_needs()) is expected

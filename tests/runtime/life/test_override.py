"""The container runs the preflight itself, and honours overrides that it was started with."""

from pathlib import Path

import pytest

from mealkit.recipe.kit import Gpu

pytestmark = pytest.mark.skipif(
    bool(list(Path("/dev").glob("nvidia[0-9]*"))), reason="this machine has a GPU"
)


def test_an_override_starts_the_kit_and_is_logged(start, make_lock):
    """What would have ended the start is a warning in the log, with the reason."""
    overrides = {"MEALKIT_OVERRIDES": '{"HW_NO_GPU": "this engine has a simulator"}'}
    kit = start(make_lock(gpu=Gpu.REQUIRED), environment=overrides).wait_ready()
    (event,) = kit.events("override")
    assert event["level"] == "warning"
    assert (event["code"], event["reason"]) == ("HW_NO_GPU", "this engine has a simulator")
    assert (event["measured"], event["required"]) == ("none", "a GPU")
    (preflight,) = kit.events("preflight")
    assert preflight["verdict"] == "uncertain"


def test_another_code_does_not_help(start, make_lock):
    """An override is for one finding."""
    overrides = {"MEALKIT_OVERRIDES": '{"HOST_MEMORY": "it is enough"}'}
    kit = start(make_lock(gpu=Gpu.REQUIRED), environment=overrides)
    assert kit.wait_end() == 10
    assert kit.lines[-1]["code"] == "HW_NO_GPU"
    assert not kit.events("override")


def test_overrides_that_cannot_be_read(start, make_lock):
    """End the start, naming the variable."""
    kit = start(make_lock(), environment={"MEALKIT_OVERRIDES": "HW_NO_GPU"})
    assert kit.wait_end() == 9
    assert kit.lines[-1]["where"] == "MEALKIT_OVERRIDES"

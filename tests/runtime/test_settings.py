"""The container's settings, from environment variables."""

import pytest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MEALKIT_PORT", "eighty"),
        ("MEALKIT_PORT", "70000"),
        ("MEALKIT_MODELS", "models"),
        ("MEALKIT_LOG_LEVEL", "loud"),
        ("MEALKIT_IMAGE_DIGEST", "latest"),
        ("MEALKIT_HOST", "999.0.0.1"),
    ],
)
def test_settings_that_cannot_be_used(start, name, value):
    """A bad setting is named, with its value."""
    kit = start(environment={name: value})
    assert kit.wait_end() == 9
    assert kit.lines[-1]["code"] == "CONFIG_INVALID"
    assert value in kit.lines[-1]["message"]

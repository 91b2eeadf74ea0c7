"""The settings of a kit's server."""

import pytest

from mealkit.recipe.serving_settings import Serving


@pytest.mark.parametrize(("lame_duck", "drain"), [(0, 0), (5, 20), (30, 120)])
def test_time_to_stop(lame_duck, drain):
    """A container has time for both steps of a stop, and for the last answers."""
    serving = Serving(lame_duck_seconds=lame_duck, drain_seconds=drain)
    assert serving.stop_seconds == lame_duck + drain + 10

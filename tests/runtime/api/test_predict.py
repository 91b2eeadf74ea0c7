"""Requests of predictions."""

from mealkit.recipe.kit import Task
from mealkit.runtime.api.predict import PREDICT

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_prediction(offer, ask):
    """An input passes as it is; the model's name may be left out; streaming only if it streams."""
    kit = offer(Task.PREDICTION)
    asked = {"model": "stand-in", "input": {"x": [1]}, "seed": 3, "stream": False}
    assert ask(PREDICT, kit, input={"x": [1]}) == asked
    assert ask(PREDICT, kit, model=None, input={"x": [1]}) == asked
    assert ask(PREDICT, kit, input=[1]) == ("REQUEST_INVALID", "input")
    kit.prediction = {"input": {}, "output": {}, "streams": False}
    assert ask(PREDICT, kit, input={}, stream=True) == (UNSUPPORTED, "stream")
    kit.prediction = {"input": {}, "output": {}, "streams": True}
    assert ask(PREDICT, kit, input={}, stream=True)["stream"] is True


def test_seeds_of_predictions(offer, ask):
    """A seed is the kit's, unless the kit leaves it to callers, within its bounds."""
    pinned = offer(Task.PREDICTION)
    assert ask(PREDICT, pinned, input={}, seed=3)["seed"] == 3
    assert ask(PREDICT, pinned, input={}, seed=4) == (UNSUPPORTED, "seed")
    assert ask(PREDICT, pinned, input={}, seed=-1) == ("REQUEST_INVALID", "seed")
    bounds = {"seed": {"maximum": 9}}
    free = offer(Task.PREDICTION, overrides=bounds)
    assert ask(PREDICT, free, input={}, seed=4)["seed"] == 4
    assert ask(PREDICT, free, input={}, seed=10) == (UNSUPPORTED, "seed")

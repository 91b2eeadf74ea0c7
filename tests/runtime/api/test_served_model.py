"""What a kit offers, pins and leaves to callers."""

import pytest

from mealkit.errors import RequestError
from mealkit.recipe.kit import Feature, Override
from mealkit.runtime.api.served_model import require_within, show_bounds


def refused(call, *arguments):
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    (problem,) = caught.value.problems
    return problem


def test_another_model_is_refused_on_one_line(offer):
    """The name that was asked for is shown cut, and without its line breaks."""
    kit = offer()
    kit.require_model("stand-in")
    problem = refused(kit.require_model, "a\nb" + "x" * 5000)
    assert (problem.code, problem.where) == ("REQUEST_MODEL", "model")
    assert "\n" not in problem.message
    assert len(problem.message) < 1000


@pytest.mark.parametrize("feature", list(Feature))
def test_every_feature_has_words_for_its_absence(offer, feature):
    """The refusal names the parameter and the engine."""
    problem = refused(offer(features=frozenset()).require, feature, "field")
    assert (problem.code, problem.where) == ("REQUEST_UNSUPPORTED", "field")
    assert problem.message.startswith("field is not supported: the engine onnx ")
    offer(features=frozenset({feature})).require(feature, "field")


def test_a_value_is_the_kits_unless_it_is_left_open(offer):
    """A caller may repeat a pinned value, and set another one only within the kit's bounds."""
    pinned = offer()
    assert pinned.choose("max_tokens", None) == 32
    assert pinned.choose("max_tokens", 32) == 32
    assert "pins it to 32" in refused(pinned.choose, "max_tokens", 5).message
    assert "not a hyperparameter" in refused(pinned.choose, "other", 5).message
    kit = offer(overrides={"temperature": {"minimum": 0.5, "maximum": 1.0}})
    assert [kit.choose("temperature", value) for value in (None, 0.0, 0.5, 1.0)] == [0, 0, 0.5, 1]
    assert refused(kit.choose, "temperature", 1.01).where == "temperature"


@pytest.mark.parametrize(
    ("bounds", "words", "inside", "outside"),
    [
        ({}, "any value", (-1e9, 1e9), ()),
        ({"minimum": 0}, "0 or more", (0, 5), (-0.1,)),
        ({"maximum": 2.5}, "2.5 or less", (2.5, -9), (2.6,)),
        ({"minimum": 0, "maximum": 1}, "0 to 1", (0, 1), (-1, 2)),
    ],
)
def test_bounds_include_their_ends(bounds, words, inside, outside):
    """What is shown to people is what is checked."""
    override = Override(**bounds)
    assert show_bounds(override) == words
    for value in inside:
        require_within("top_k", value, override)
    for value in outside:
        assert words in refused(require_within, "top_k", value, override).message

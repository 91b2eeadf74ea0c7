"""Hyperparameters that several engines share: values that cannot stand together."""

import pytest
from pydantic import ValidationError

from mealkit.engines.hyperparameters import GenerationHyperparameters


def test_an_answer_leaves_room_for_a_prompt():
    """A kit whose every request would be refused for its length is refused itself."""
    assert GenerationHyperparameters(max_length=64, max_tokens=63).max_tokens == 63
    for most in (64, 65):
        with pytest.raises(ValidationError, match=f"max_tokens {most} leaves no space in"):
            GenerationHyperparameters(max_length=64, max_tokens=most)

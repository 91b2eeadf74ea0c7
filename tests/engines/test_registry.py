"""Engines by name: those of mealkit, and what is said of those that are not here."""

import pytest

from mealkit.engines.registry import (
    code_engine,
    engine_names,
    new_kit_engine,
    recipe_of,
    traits_of,
    usual_engine,
)
from mealkit.errors import MealkitError
from mealkit.recipe.kit import Task
from mealkit.recipe.traits import EngineTraits


@pytest.mark.parametrize("name", engine_names())
def test_an_engine_goes_by_one_name(name):
    """In the registry, its recipe and its memory; its worker is in its own folder."""
    recipe = recipe_of(name)
    assert recipe.name == name
    assert recipe.worker.startswith(f"mealkit.engines.{name.replace('-', '_')}.")
    assert recipe.traits.memory is None or recipe.traits.memory.name == name
    assert recipe.new_kit.joinpath("kit.yaml.jinja").is_file()


def test_an_engine_that_is_not_here():
    """Has no recipe, and traits that trust it with nothing."""
    with pytest.raises(MealkitError, match="the engine 'house-made' does not exist"):
        recipe_of("house-made")
    assert traits_of("house-made") == traits_of(None) == EngineTraits()
    assert EngineTraits().runs_kit_code


@pytest.mark.parametrize(
    ("weights", "generates", "engine"),
    [
        ("safetensors", True, "vllm"),
        ("safetensors", False, "transformers"),
        ("gguf", True, "llama-cpp"),
        ("gguf", False, "llama-cpp"),
    ],
)
def test_the_usual_engine_of_a_model(weights, generates, engine):
    """One engine claims each kind of model; no engine claims a format that none reads."""
    assert usual_engine(weights, generates=generates) == engine
    claims = [recipe_of(name).is_usual_for(weights, generates) for name in engine_names()]
    assert sum(claims) == 1
    with pytest.raises(MealkitError, match="no engine here supports pickles"):
        usual_engine("pickles", generates=generates)


def test_the_engines_of_new_kits():
    """By the task: the paper's own code if none is named, else one that is downloaded ready-made."""
    assert new_kit_engine(None) == code_engine() == "python"
    chosen = {task: new_kit_engine(task) for task in Task}
    assert chosen == dict.fromkeys(Task, "onnx") | {Task.PREDICTION: "python"}

"""Each engine says how its pinned values are changed on purpose."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from mealkit.engines.hyperparameters import GenerationHyperparameters
from mealkit.engines.llama_cpp.engine import LlamaCppSettings
from mealkit.engines.other_values import (
    EVERY_OTHER,
    HALF,
    Pinned,
    Salted,
    another_file,
    instead,
    salted,
)
from mealkit.engines.python.engine import PredictionHyperparameters
from mealkit.engines.registry import engine_names, recipe_of

FILES = ("chat_template.jinja", "model.gguf", "model-q8.gguf", "short.jinja")


def others(model: type[BaseModel], name: str, **values: Any) -> Any:
    """What a field is changed to, or the reason why it is not."""
    info = model.model_fields[name]
    found = salted(info, Pinned(values[name], info.annotation, values, FILES))
    return (
        found if isinstance(found, str) else [(item.value, dict(item.together)) for item in found]
    )


@pytest.mark.parametrize("engine", engine_names())
def test_each_field_of_an_engine_says_how_it_is_changed(engine: str):
    """A new hyperparameter or setting needs a decision: another value, or a reason to keep it."""
    recipe = recipe_of(engine)
    for model in (*recipe.hyperparameters.values(), recipe.settings):
        for name, info in model.model_fields.items():
            markers = [item for item in info.metadata if isinstance(item, Salted)]
            assert len(markers) == 1, f"{model.__name__}.{name}"


class Elsewhere(BaseModel):
    """Settings of an engine that does not come with mealkit, and of one that does."""

    unknown: bool = True
    kind: Annotated[Literal["a", "b", "c"], EVERY_OTHER] = "a"
    flag: Annotated[bool, EVERY_OTHER] = True
    only: Annotated[Literal[1], EVERY_OTHER] = 1
    length: Annotated[int, Field(ge=1), HALF] = 9
    least: Annotated[int, HALF] = 1
    heat: Annotated[float, instead(1.0, 0.0)] = 0.0
    file: Annotated[str, another_file(".gguf")] = "model.gguf"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("unknown", True, "its engine does not say how to change it"),
        ("kind", "b", [("a", {}), ("c", {})]),
        ("flag", False, [(True, {})]),
        ("only", 1, "the engine supports no other value"),
        ("length", 9, [(4, {})]),
        ("least", 1, "the engine supports no other value"),
        ("heat", 0.0, [(1.0, {})]),
        ("heat", 1.0, [(0.0, {})]),
        ("file", "model.gguf", [("model-q8.gguf", {})]),
    ],
)
def test_a_value_is_changed_by_its_type(name: str, value: Any, expected: Any):
    """Each other name of an enumeration, the opposite of a boolean, another locked file."""
    assert others(Elsewhere, name, **{name: value}) == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("temperature", {"temperature": 0.0}, [(1.0, {})]),
        ("top_p", {"top_p": 1.0, "temperature": 0.0}, "it has no effect at temperature 0"),
        ("top_p", {"top_p": 1.0, "temperature": 0.7}, [(0.5, {})]),
        ("seed", {"seed": 7, "temperature": 0.7}, [(8, {})]),
        ("stop", {"stop": []}, "the kit has none"),
        ("stop", {"stop": ["END"]}, [([], {})]),
        ("chat_template", {"chat_template": "model"}, [("none", {}), ("short.jinja", {})]),
        ("max_length", {"max_length": 512, "max_tokens": 128}, [(256, {})]),
        ("max_length", {"max_length": 512, "max_tokens": 300}, [(256, {"max_tokens": 150})]),
    ],
)
def test_values_of_generation_are_changed_where_it_has_an_effect(
    name: str, values: dict[str, Any], expected: Any
):
    """Nothing is started for a value that cannot change an answer."""
    assert others(GenerationHyperparameters, name, **values) == expected


def test_a_quantised_cache_comes_with_what_it_needs():
    """The engine accepts it only with flash_attn."""
    values = {"cache_type_v": "f16", "flash_attn": False}
    assert others(LlamaCppSettings, "cache_type_v", **values) == [("q8_0", {"flash_attn": True})]


def test_parameters_of_own_code_are_changed_one_by_one():
    """Numbers are doubled, booleans turned; texts have no obvious other value."""
    given = {"limit": 5, "zero": 0, "strict": True, "name": "x"}
    found = others(PredictionHyperparameters, "parameters", parameters=given)
    assert found == [
        ({**given, "limit": 10}, {}),
        ({**given, "zero": 1}, {}),
        ({**given, "strict": False}, {}),
    ]

"""What the build side takes, promises and ships of a transformers kit."""

from pathlib import Path

import pytest

from mealkit.assembly.shipped import shipped_library
from mealkit.engines.transformers.engine import RECIPE
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock import read_lock

ROOT = Path(__file__).parents[3]
KIT = ROOT / "kits/tiny-chat-transformers"


def test_features_follow_from_the_kit():
    """No chat without a template, no tools unless the kit says how the model calls them."""
    chosen = {"chat_template": "model", "tool_calls": "hermes"}
    assert RECIPE.features(Task.GENERATION, chosen, {}) == frozenset(Feature)
    for values, without in (
        ({"chat_template": "none", "tool_calls": "hermes"}, {Feature.CHAT, Feature.TOOLS}),
        ({"chat_template": "x.jinja", "tool_calls": "none"}, {Feature.TOOLS}),
    ):
        assert RECIPE.features(Task.GENERATION, values, {}) == frozenset(Feature) - without
    assert RECIPE.features(Task.EMBEDDINGS, {}, {}) == {Feature.TOKENS}


@pytest.mark.parametrize(
    ("device", "gpu", "holds"),
    [
        ("cpu", "none", True),
        ("cuda", "required", True),
        ("cuda", "none", False),
        ("cuda", "optional", False),
        ("cpu", "required", False),
    ],
)
def test_a_gpu_is_asked_for_where_it_is_used(tmp_path, device, gpu, holds):
    """The flag and the hardware agree, or ``mealkit check`` names the line."""
    text = (KIT / "kit.yaml").read_text().replace("wheels: [wheels]", "wheels: []")
    text = text.replace("device: cpu", f"device: {device}").replace("gpu: none", f"gpu: {gpu}")
    (tmp_path / "kit.yaml").write_text(text)
    found = check_engine_parts(load_kit(tmp_path, allowed=[tmp_path.parent])).problems
    assert [item.message for item in found] == (
        [] if holds else [f"runtime.settings.device is {device}, but hardware.gpu is {gpu}"]
    )
    assert all("kit.yaml:" in item.where for item in found)


def test_the_engine_ships_without_its_build_side():
    """The image gets the worker's modules and those of generation, and no recipe."""
    library = shipped_library("transformers")
    assert "mealkit/engines/transformers/worker.py" in library
    assert "mealkit/worker/generation/generator.py" in library
    assert "mealkit/engines/transformers/engine.py" not in library


def test_the_example_pins_what_it_says():
    """Its lock has every flag, and none of the packages that nothing imports."""
    lock = read_lock((KIT / "kit.lock").read_bytes())
    assert set(lock.engine.settings) == set(RECIPE.settings.model_fields)
    names = {item.name for item in lock.engine.packages}
    assert names.isdisjoint(RECIPE.excludes)
    assert {"torch", "transformers", "tokenizers", "safetensors"} <= names


@pytest.mark.parametrize("name", ["get_wheel.sh", "wheel.sha256"])
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_new_kit_gets_the_wheel_that_the_example_has(engine, name):
    """``mealkit new`` gives each engine on torch the files that get the same wheel."""
    assert (ROOT / "mealkit/engines" / engine / "new" / name).read_bytes() == (
        KIT / name
    ).read_bytes()

"""A kit's lock with one pinned value changed."""

from dataclasses import replace
from typing import Any

import pytest
from fakes.kits import KIT, FixedInputs, parts_of, with_value

from mealkit.engines.llama_cpp.engine import RECIPE, LlamaCppSettings
from mealkit.errors import KitError
from mealkit.lock.compare import compare
from mealkit.lock.kit_parts import KitParts
from mealkit.lock.resolve import resolve
from mealkit.lock.salt import Pinch, changed_lock, chosen, pinches_of
from mealkit.recipe.lock import Lock

PROMPT = "Represent this:\n{{ text }}\n"


def prompted(form: dict[str, Any] = KIT, text: str = PROMPT) -> tuple[KitParts, Lock]:
    """A kit with a prompt that has a variable, a claim with data and one without."""
    prompt = {"query": {"file": "prompts/query.jinja", "variables": ["text"]}}
    ask = {"kind": "embedding", "parameters": {"dimensions": 4}}
    stated = {"source": "ours", "metric": "cosine", "value": 1, "tolerance": {"absolute": 0.1}}
    claims = [
        {"name": "vectors", "data": "texts", "ask": ask, **stated},
        {"name": "stated", **stated},
    ]
    form = with_value(with_value(form, "prompts", prompt), "claims", claims)
    parts = parts_of(form, prompts={"query": text})
    return parts, resolve(parts, FixedInputs())


def differences(parts: KitParts, lock: Lock, pinch: Pinch) -> dict[str, tuple[Any, Any]]:
    changed = changed_lock(parts, lock, "amd64", pinch)
    found = compare(lock.model_dump(mode="json"), changed.model_dump(mode="json"))
    return {item.path: (item.before, item.after) for item in found}


def test_every_known_change_is_made_one_by_one():
    """Prompts, hyperparameters and settings, in this order; the others have a reason."""
    choice = pinches_of(*prompted())
    assert [(pinch.change.field, pinch.change.changed) for pinch in choice.pinches] == [
        ("prompts.query", "{{ text }}"),
        ("prompts.query", "Represent this:"),
        ("hyperparameters.pooling", "cls"),
        ("hyperparameters.max_length", 128),
        ("hyperparameters.normalize", False),
    ]
    reasons = {item.field: item.reason for item in choice.left}
    assert reasons["runtime.settings.graph"] == "the model has no other file .onnx"
    assert {"model.weights", "runtime.base", "runtime.code"} <= set(reasons)


@pytest.mark.parametrize("text", ["{{ text }}\n", " {{ text }}"])
def test_a_prompt_that_says_nothing_is_not_changed(text: str):
    """It has no words that could be left out."""
    found = pinches_of(*prompted(text=text)).pinches
    assert not [pinch for pinch in found if pinch.change.field.startswith("prompts")]


def test_only_one_value_differs_and_the_version():
    """The changed kit has another recipe, and no name that an image of the kit has."""
    parts, lock = prompted()
    pinch = chosen(parts, lock, "hyperparameters.pooling", "cls")
    assert differences(parts, lock, pinch) == {
        "about.version": ("1.0.0", "1.0.0-salt"),
        "hyperparameters.pooling": ("mean", "cls"),
    }
    assert changed_lock(parts, lock, "amd64", pinch).recipe != lock.recipe


def test_a_shorter_length_truncates_what_claims_ask():
    """Otherwise long texts would only be refused, and no claim would show a wrong vector."""
    parts, lock = prompted()
    (pinch,) = (
        item
        for item in pinches_of(parts, lock).pinches
        if item.change.field == "hyperparameters.max_length"
    )
    assert pinch.change.together == {"hyperparameters.overlong": "truncate_if_asked"}
    changed = changed_lock(parts, lock, "amd64", pinch)
    assert changed.hyperparameters["overlong"] == "truncate_if_asked"
    asked = [claim.ask.parameters if claim.ask else None for claim in changed.claims]
    assert asked == [{"dimensions": 4, "truncate": True}, None]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("hyperparameters.poolin", "cls", "no value 'hyperparameters.poolin'"),
        ("prompts.query", 1, "no value 'prompts.query'"),
        ("serving.port", 1, "no value 'serving.port'"),
        ("hyperparameters.pooling", "max", 'pooling: "max" alone is not valid'),
    ],
)
def test_a_change_that_is_not_possible_is_a_usage_error(field: str, value: Any, message: str):
    """The message names the value; the hint names what can be changed."""
    with pytest.raises(KitError, match=message) as error:
        chosen(*prompted(), field, value)
    assert error.value.problems[0].code == "USAGE"


def test_another_prompt_by_request():
    """Its text is in the lock; a report shows the beginning and the digest of a long one."""
    parts, lock = prompted()
    text = "x" * 1000 + "{{ text }}"
    pinch = chosen(parts, lock, "prompts.query", text)
    assert changed_lock(parts, lock, "amd64", pinch).prompts["query"].text == text
    assert str(pinch.change.changed).startswith("xxx")
    assert "1010 characters" in str(pinch.change.changed)


def test_what_an_engine_refuses_is_left_with_its_reason():
    """Values that are valid only together are not a change of one."""
    settings = LlamaCppSettings(flash_attn=True, cache_type_v="q8_0").model_dump(mode="json")
    parts, lock = prompted()
    parts = replace(parts, recipe=RECIPE, settings=settings)
    left = {item.field: item.reason for item in pinches_of(parts, lock).left}
    assert left["runtime.settings.flash_attn"].startswith("false alone is not valid: ")


def test_one_architecture_of_several_is_changed():
    """The changed lock is plain, with the packages of its own architecture."""
    form = with_value(KIT, "hardware.architectures", ["amd64", "arm64"])
    parts, lock = prompted(form)
    pinch = chosen(parts, lock, "hyperparameters.normalize", False)
    changed = changed_lock(parts, lock, "arm64", pinch)
    assert not changed.variants
    assert changed.runtime.architecture == "arm64"
    assert changed.hyperparameters["normalize"] is False

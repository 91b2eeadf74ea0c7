"""What a request's schema allows, its endpoint takes, and what it forbids, the endpoint refuses."""

import jsonschema
import pytest

from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.kit_schema import schema_for_kit

HELLO = {"messages": [{"role": "user", "content": "hello"}]}
PROMPTS = {"greet": ("Hello {{ name }}", ("name",)), "plain": ("as it is", ())}
APPLIED = {"query": ("query: {{ text }}", ("text",)), "greet": ("{{ name }}", ("name",))}
OVERRIDES = {"temperature": {"minimum": 0.5, "maximum": 1.0}, "max_tokens": {"maximum": 8}}
FEATURES = frozenset({Feature.CHAT, Feature.COMPLETION, Feature.TOKENS})


def allows(endpoint, kit, values):
    schema = schema_for_kit(endpoint.request.model_json_schema(), kit)
    return jsonschema.Draft202012Validator(schema).is_valid({"model": "stand-in", **values})


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ({}, True),
        ({"model": "other"}, False),
        ({"temperature": 0.0}, True),
        ({"temperature": 0.5}, True),
        ({"temperature": 0.2}, False),
        ({"temperature": 1.1}, False),
        ({"temperature": None}, True),
        ({"top_p": 1.0}, True),
        ({"top_p": 0.5}, False),
        ({"max_tokens": 8}, True),
        ({"max_tokens": 9}, True),
        ({"max_tokens": 32}, True),
        ({"max_tokens": 3, "max_completion_tokens": 4}, False),
        ({"max_tokens": None, "max_completion_tokens": 3}, True),
        ({"tools": []}, False),
        ({"n": 2}, False),
        ({"logprobs": True}, False),
        ({"stream_options": {"include_usage": True}}, True),
        ({"max_tokens": -1}, True),
        ({"max_tokens": 0}, False),
        ({"top_k": -1}, True),
        ({"top_k": 1}, False),
        ({"stream": True, "stream_options": {"include_usage": True}}, True),
        ({"prompt": "plain"}, True),
        ({"prompt": "greet"}, False),
        ({"prompt": "greet", "variables": {"name": "a"}}, True),
        ({"prompt": "greet", "variables": {"name": 1}}, False),
        ({"prompt": "greet", "variables": {"name": "a", "x": "b"}}, False),
        ({"prompt": {"name": "greet", "variables": {"name": "a"}}}, True),
        ({"prompt": {"name": "greet"}}, False),
        ({"prompt": "other"}, False),
        ({"variables": {"name": "a"}}, False),
    ],
    ids=range(32),
)
def test_a_chat_as_the_kit_takes_it(offer, ask, values, allowed):
    """Pinned values, bounds, prompts and absent features are in the schema as they are checked."""
    kit = offer(overrides=OVERRIDES, prompts=PROMPTS, features=FEATURES)
    asked = {**HELLO, **values}
    assert allows(CHAT, kit, asked) is allowed
    if "n" not in values and "tools" not in values:
        assert isinstance(ask(CHAT, kit, **asked), dict) is allowed


def test_a_kit_without_chats(offer):
    """Messages are not in its schema, and a prompt of the kit still is."""
    kit = offer(prompts=PROMPTS, features=frozenset({Feature.COMPLETION}))
    schema = schema_for_kit(CHAT.request.model_json_schema(), kit)
    assert "messages" not in schema["properties"]
    assert allows(COMPLETIONS, kit, {"prompt": "any text"})
    assert allows(COMPLETIONS, kit, {"prompt": {"name": "plain"}})
    assert not allows(COMPLETIONS, kit, {"prompt": {"name": "other"}})


def test_prompts_that_are_put_around_inputs(offer):
    """Only those with the variable text are named, and that variable is not the caller's."""
    kit = offer(Task.EMBEDDINGS, prompts=APPLIED)
    assert allows(EMBEDDINGS, kit, {"input": "a", "prompt": "query"})
    assert not allows(EMBEDDINGS, kit, {"input": "a", "prompt": "greet"})
    assert not allows(
        EMBEDDINGS, kit, {"input": "a", "prompt": "query", "variables": {"text": "b"}}
    )


def test_a_kit_without_prompts(offer):
    """Neither prompts nor their variables are in its schema."""
    kit = offer(Task.EMBEDDINGS, prompts={"greet": ("{{ name }}", ("name",))})
    fields = schema_for_kit(EMBEDDINGS.request.model_json_schema(), kit)["properties"]
    assert not fields.keys() & {"prompt", "variables"}
    assert next(iter(fields)) == "model"


@pytest.mark.parametrize("overlong", [None, "refuse", "truncate_if_asked"])
def test_texts_are_cut_only_where_the_kit_says_so(offer, overlong):
    """Another kit accepts only the values that cut nothing."""
    kit = offer(Task.EMBEDDINGS)
    kit.hyperparameters = {**kit.hyperparameters, "overlong": overlong}
    for value, is_neutral in ((True, False), ("END", False), (False, True), ("NONE", True)):
        allowed = is_neutral or overlong == "truncate_if_asked"
        assert allows(EMBEDDINGS, kit, {"input": "a", "truncate": value}) is allowed


def test_the_length_of_vectors_once_it_is_known(offer):
    """A caller may name the one that the model has."""
    kit = offer(Task.EMBEDDINGS)
    kit.dimensions = 384
    assert allows(EMBEDDINGS, kit, {"input": "a", "dimensions": 384})
    assert not allows(EMBEDDINGS, kit, {"input": "a", "dimensions": 383})

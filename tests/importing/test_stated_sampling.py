"""How a model generates is read from its configs, each value with where it comes from."""

import pytest

from mealkit.importing.stated_sampling import HALF, Values, sampling, template


def values(config=None, tokenizer=None, **generation):
    return sampling(
        {"max_position_embeddings": 4096, **(config or {})}, tokenizer or {}, generation
    )


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"max_position_embeddings": 4096}, {}, 4096),
        ({"n_positions": 1024}, {}, 1024),
        ({"max_position_embeddings": 10**30, "n_ctx": 512}, {}, 512),
        ({"max_position_embeddings": True}, {"model_max_length": 256}, 256),
        ({}, {"model_max_length": 10**30}, 2048),
        ({"max_position_embeddings": 0}, {}, 2048),
        ({"max_position_embeddings": "4096"}, {}, 2048),
    ],
)
def test_the_context_is_the_first_number_that_can_be_one(config, tokenizer, expected):
    """transformers writes 10**30 where it knows none; without any it is a guess, which is told."""
    found = sampling(config, tokenizer, {})
    assert found.values["max_length"] == expected
    assert ("the context" in [item.what for item in found.left_out]) is (expected == 2048)


@pytest.mark.parametrize(
    ("context", "stated", "expected"),
    [(4096, 100, 100), (4096, None, 512), (4096, 4096, 2048), (100, None, 50), (1, None, 1)],
)
def test_an_answer_leaves_room_for_its_prompt(context, stated, expected):
    """What is stated is taken if it fits."""
    found = values({"max_position_embeddings": context}, max_new_tokens=stated)
    assert found.values["max_tokens"] == expected
    assert (found.comments["max_tokens"] == HALF) is (expected == context // 2 or context == 1)


def test_without_sampling_the_likeliest_token_is_taken():
    """Values that have no effect then are not carried over; a penalty has one."""
    found = values(temperature=0.6, top_p=0.9, repetition_penalty=1.2).values
    assert (found["temperature"], found["repetition_penalty"], found["seed"]) == (0.0, 1.2, 0)
    assert not {"top_p", "top_k"} & set(found)


def test_with_sampling_every_value_is_carried_over():
    """Those that are not stated are said to be somebody's default."""
    found = values(do_sample=True, top_p=0.9, min_p=0.1)
    drawn = [found.values[name] for name in ("temperature", "top_p", "min_p", "top_k")]
    assert drawn == [1.0, 0.9, 0.1, 0]
    assert "default" in found.comments["temperature"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -1), ("top_p", 2), ("top_k", 1.5), ("temperature", "hot"), ("top_p", [])],
)
def test_a_value_out_of_its_bounds_is_left_out(name, value):
    """And told with the bounds."""
    found = values(do_sample=True, **{name: value})
    assert f"generation_config.json: {name}" in [item.what for item in found.left_out]
    assert found.values.get(name) != value


def test_a_whole_number_may_be_written_as_a_float():
    """As JSON's writers do."""
    found = values(do_sample=True, top_k=40.0).values["top_k"]
    assert (found, type(found)) == (40, int)


def test_what_a_kit_does_not_have_is_told():
    """But for what has no effect on answers, or no value."""
    found = values(num_beams=4, use_cache=True, eos_token_id=2, penalty_alpha=None)
    assert [item.what for item in found.left_out] == ["generation_config.json: num_beams"]
    assert "4" in found.left_out[0].why


@pytest.mark.parametrize(
    ("text", "expected", "left"),
    [
        ("{{ messages }}", {"chat_template": "model"}, 0),
        ("<tool_call> {{ tools }}", {"chat_template": "model", "tool_calls": "hermes"}, 0),
        ("{{ tools }}", {"chat_template": "model"}, 1),
        (None, {"chat_template": "none"}, 0),
        ("", {"chat_template": "none"}, 0),
        ([{"name": "default", "template": "a"}], {"chat_template": "model"}, 0),
        ([{"name": "default", "template": "a"}, {"name": "rag"}], {"chat_template": "model"}, 1),
        ([{"name": "rag", "template": "a"}, 7], {"chat_template": "none"}, 1),
    ],
)
def test_a_chat_template_is_the_models_own_or_none(text, expected, left):
    """Of several the default one is taken; another format of tool calls is told."""
    found = Values()
    template(found, text, "tokenizer_config.json")
    assert found.values == expected
    assert len(found.left_out) == left

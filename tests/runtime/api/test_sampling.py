"""Which value of a hyperparameter holds: the kit's, or the caller's where the kit allows it."""

import pytest

from mealkit.errors import RequestError
from mealkit.recipe.kit import Feature
from mealkit.runtime.api.completions import COMPLETIONS

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_every_value_is_explicit(offer, ask):
    """A request that says nothing gets every value of the kit, so that no engine chooses one."""
    assert ask(COMPLETIONS, offer(), prompt="a") == {
        "model": "stand-in",
        "prompt": "a",
        "stream": False,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "seed": 7,
        "max_tokens": 32,
        "stop": ["END"],
        "n": 1,
        "logprobs": None,
        "echo": False,
    }


def test_null_is_left_out(offer, ask):
    """A null parameter counts as left out."""
    names = ("temperature", "seed", "stop", "n", "logit_bias", "stream", "user", "logprobs")
    nothing = dict.fromkeys((*names, "max_tokens", "stream_options", "store", "suffix"))
    plain = ask(COMPLETIONS, offer(), prompt="a")
    assert ask(COMPLETIONS, offer(), prompt="a", **nothing) == plain


@pytest.mark.parametrize(
    ("name", "same", "other"),
    [
        ("temperature", 0, 0.5),
        ("top_p", 1, 0.9),
        ("top_k", 0, 40),
        ("min_p", 0, 0.1),
        ("repetition_penalty", 1, 1.1),
        ("presence_penalty", 0, 1),
        ("frequency_penalty", 0, 1),
        ("seed", 7, 8),
    ],
)
def test_pinned_values(offer, ask, name, same, other):
    """The kit's own value may be said; another one is refused, unless the kit leaves it open."""
    assert ask(COMPLETIONS, offer(), prompt="a", **{name: same})[name] == same
    assert ask(COMPLETIONS, offer(), prompt="a", **{name: other}) == (UNSUPPORTED, name)
    open_to_callers = offer(overrides={name: {}})
    assert ask(COMPLETIONS, open_to_callers, prompt="a", **{name: other})[name] == other


def test_bounds(offer, ask):
    """A value that the kit leaves open within bounds is refused outside of them."""
    bounded = offer(overrides={"temperature": {"minimum": 0.2, "maximum": 1}})
    for value in (0.2, 1, 1.0, 0.5, 0):  # 0 is the kit's own
        assert ask(COMPLETIONS, bounded, prompt="a", temperature=value)["temperature"] == value
    for value in (0.1, 1.1):
        refused = ask(COMPLETIONS, bounded, prompt="a", temperature=value)
        assert refused == (UNSUPPORTED, "temperature")


def test_refusal_names_value_and_way_out(offer):
    """A refusal says what was asked, what is pinned, and how a kit's author can allow it."""
    with pytest.raises(RequestError) as caught:
        COMPLETIONS.prepare({"model": "stand-in", "prompt": "a", "top_k": 5}, offer())
    [problem] = caught.value.problems
    assert problem.message == "top_k is 5, this kit pins it to 0"
    assert "overrides" in problem.hint


def test_a_limit_of_tokens_is_a_cap(offer, ask):
    """Fewer tokens than the kit's may always be asked for; a larger number counts as the kit's."""
    for asked, used in ((1, 1), (33, 32), (2**31, 32), (-1, 32), (None, 32)):
        assert ask(COMPLETIONS, offer(), prompt="a", max_tokens=asked)["max_tokens"] == used
    more = offer(overrides={"max_tokens": {"minimum": 2, "maximum": 40}})
    for asked, used in ((40, 40), (41, 40), (2, 2)):
        assert ask(COMPLETIONS, more, prompt="a", max_tokens=asked)["max_tokens"] == used
    assert ask(COMPLETIONS, more, prompt="a", max_tokens=1) == (UNSUPPORTED, "max_tokens")
    fewer = offer(overrides={"max_tokens": {"maximum": 8}})
    for asked, used in ((9, 8), (31, 8), (32, 32), (33, 32)):
        assert ask(COMPLETIONS, fewer, prompt="a", max_tokens=asked)["max_tokens"] == used


def test_stops_are_added(offer, ask):
    """A caller's stop texts stand beside the kit's, each once."""
    assert ask(COMPLETIONS, offer(), prompt="a", stop="x")["stop"] == ["END", "x"]
    assert ask(COMPLETIONS, offer(), prompt="a", stop=["END", "x", "x"])["stop"] == ["END", "x"]


@pytest.mark.parametrize(
    ("values", "feature", "name"),
    [
        ({"n": 2}, Feature.MULTIPLE, "n"),
        ({"logit_bias": {"5": -100}}, Feature.LOGIT_BIAS, "logit_bias"),
        ({"logprobs": 0}, Feature.LOGPROBS, "logprobs"),
    ],
)
def test_features(offer, ask, values, feature, name):
    """What the engine cannot do is refused by the parameter's name; what it can is passed on."""
    assert ask(COMPLETIONS, offer(), prompt="a", **values) == (UNSUPPORTED, name)
    able = offer(features=frozenset({Feature.COMPLETION, feature}))
    assert ask(COMPLETIONS, able, prompt="a", **values)[name] == values[name]


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"temperature": "0"}, "REQUEST_INVALID", "temperature"),
        ({"temperature": True}, "REQUEST_INVALID", "temperature"),
        ({"temperature": -1}, "REQUEST_INVALID", "temperature"),
        ({"top_p": 0}, "REQUEST_INVALID", "top_p"),
        ({"seed": 1.5}, "REQUEST_INVALID", "seed"),
        ({"seed": 2**63}, "REQUEST_INVALID", "seed"),
        ({"seed": -1}, "REQUEST_INVALID", "seed"),
        ({"max_tokens": 0}, "REQUEST_INVALID", "max_tokens"),
        ({"n": 0}, "REQUEST_INVALID", "n"),
        ({"stop": ""}, "REQUEST_INVALID", "stop"),
        ({"stop": ["a", ""]}, "REQUEST_INVALID", "stop[1]"),
        ({"stop": ["a"] * 17}, "REQUEST_INVALID", "stop"),
        ({"stop": [1]}, "REQUEST_INVALID", "stop[0]"),
        ({"logit_bias": {"x": 1}}, "REQUEST_INVALID", "logit_bias.x"),
        ({"logit_bias": {"1": 101}}, "REQUEST_INVALID", "logit_bias.1"),
        ({"stream": 1}, "REQUEST_INVALID", "stream"),
        (
            {"stream": True, "stream_options": {"continuous_usage_stats": True}},
            UNSUPPORTED,
            "stream_options.continuous_usage_stats",
        ),
        ({"stream": True, "stream_options": {"x": 1}}, UNSUPPORTED, "stream_options.x"),
        (
            {"stream": True, "stream_options": {"include_obfuscation": True}},
            UNSUPPORTED,
            "stream_options.include_obfuscation",
        ),
        ({"best_of": 2}, UNSUPPORTED, "best_of"),
        ({"best_of": True}, UNSUPPORTED, "best_of"),
        ({"echo": True}, UNSUPPORTED, "echo"),
        ({"suffix": "x"}, UNSUPPORTED, "suffix"),
        ({"guided_json": {}}, UNSUPPORTED, "guided_json"),
        ({"prompt": ["a", "b"]}, UNSUPPORTED, "prompt"),
        ({"prompt": [1, 2]}, UNSUPPORTED, "prompt"),
        ({"prompt": [[1]]}, UNSUPPORTED, "prompt"),
        ({"prompt": []}, "REQUEST_INVALID", "prompt"),
        ({"prompt": 7}, "REQUEST_INVALID", "prompt"),
        ({"prompt": "\ud800"}, "REQUEST_INVALID", "prompt"),
        ({"model": "other"}, "REQUEST_MODEL", "model"),
        ({"model": None}, "REQUEST_INVALID", "model"),
    ],
)
def test_refusals(offer, ask, values, code, where):
    """What is wrong, or cannot be done, is refused by name."""
    assert ask(COMPLETIONS, offer(), **{"prompt": "a", **values}) == (code, where)


def test_one_prompt_in_a_list(offer, ask):
    """A list of one text is that text: some clients always send a list."""
    assert ask(COMPLETIONS, offer(), prompt=["a"])["prompt"] == "a"


def test_a_token_has_one_bias(offer, ask):
    """01 names the token 1 as well; which of two biases is meant is not guessed."""
    able = offer(features=frozenset({Feature.COMPLETION, Feature.LOGIT_BIAS}))
    assert ask(COMPLETIONS, able, prompt="a", logit_bias={"01": 1})["logit_bias"] == {"01": 1}
    twice = ask(COMPLETIONS, able, prompt="a", logit_bias={"1": 1, "01": 2})
    assert twice == ("REQUEST_INVALID", "logit_bias")

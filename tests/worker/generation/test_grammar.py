"""What is written under a schema parses and fulfils it, whatever the model would rather say."""

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from worker.generation.scripted import ScriptedModel, config, sampling

from mealkit.errors import MealkitError
from mealkit.worker.generation.generator import Generator
from mealkit.worker.generation.grammar import Schemas
from mealkit.worker.generation_values import Called, ChatInput, Finished, Tools, Written

SCHEMAS = [
    {"type": "object"},
    {"type": "string", "maxLength": 5},
    {"type": "integer", "minimum": -3, "maximum": 400},
    {"enum": ["red", "grün", "🍲", 7, None]},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z]{2,4}$"},
            "size": {"type": "number", "exclusiveMinimum": 0},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        },
        "required": ["name", "size"],
        "additionalProperties": False,
    },
    {
        "anyOf": [
            {"type": "null"},
            {
                "type": "object",
                "properties": {"x": {"const": 1}},
                "required": ["x"],
                "additionalProperties": False,
            },
        ]
    },
    {
        "$defs": {"n": {"type": "integer"}},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/n"}},
        "required": ["a"],
        "additionalProperties": False,
    },
    {"type": "string", "format": "date"},
]
TOOL_TEMPLATE = "{% if tools %}{{ tools | tojson }}{% endif %}{{ messages[-1].content }}"
FUNCTIONS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "type": "object",
                "properties": {"x": {"type": "integer", "minimum": 0, "maximum": 99}},
                "required": ["x"],
                "additionalProperties": False,
            },
        },
    }
    for name in ("add", "subtract")
]


class Noise(ScriptedModel):
    """A model that would say anything: its logits are random, and it likes to end."""

    def __init__(self, seed=0, *, template=TOOL_TEMPLATE, liking=3.0):
        words = [b'{"', b'": ', b'", "', b"true", b"name", b"\xf0\x9f", b"\x8d\xb2", b"<tool_call>"]
        super().__init__(words, template=template)
        self._random = np.random.default_rng(seed)
        self._liking = liking

    def logits(self):
        logits = self._random.normal(0, 3, self.vocabulary_size).astype(np.float32)
        logits[list(self.end_ids)] += self._liking
        # Otherwise texts that may be long are.
        logits[[ord(char) for char in '"}],']] += 3
        return logits


def answer(model, schema=None, tools=None, **fields):
    generator = Generator(model, config(tool_calls="hermes"))
    request = ChatInput(
        [{"role": "user", "content": "go"}], sampling(**fields), 1, None, tools, schema
    )
    events = list(generator.chat(request, lambda: False))
    text = "".join(item.text for item in events if isinstance(item, Written))
    return text, [item.call for item in events if isinstance(item, Called)], events[-1]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
@settings(max_examples=15, deadline=None)
@given(seed=some.integers(0, 2**32), temperature=some.sampled_from([0.0, 1.0]))
def test_an_answer_that_has_ended_fulfils_its_schema(schema, seed, temperature):
    """A model that says anything says only what the schema allows, and ends only when it may."""
    text, _, last = answer(Noise(seed), schema, temperature=temperature, seed=seed, max_tokens=800)
    if last.reason == "stop":
        jsonschema.validate(json.loads(text), schema)
    else:
        assert text


def test_a_schema_holds_a_model_that_wants_to_end():
    """The end is forbidden until the schema is fulfilled."""
    text, _, last = answer(
        Noise(liking=1000.0), {"type": "array", "minItems": 3, "maxItems": 3, "items": {"const": 1}}
    )
    assert json.loads(text) == [1, 1, 1]
    assert last.reason == "stop"


def test_blanks_do_not_use_up_the_answer():
    """JSON has one fixed format, so that a model which prefers spaces makes progress."""
    model = Noise()
    plain = model.logits

    def blank():
        logits = plain()
        logits[[ord(" "), ord("\n")]] += 1000
        return logits

    model.logits = blank
    text, _, _ = answer(
        model,
        {
            "type": "object",
            "properties": {"a": {"const": 1}, "b": {"const": 2}},
            "required": ["a", "b"],
            "additionalProperties": False,
        },
    )
    assert text == '{"a": 1, "b": 2}'


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "colour"},
        {"$ref": "http://example.invalid/schema.json"},
        {"type": "string", "pattern": "(?=a)b"},
        {"type": "array", "uniqueItems": True},
        {"not": {"type": "string"}},
        {"type": "object", "x-guidance": {"lenient": True}, "unevaluatedProperties": False},
        {"type": "integer", "minimum": 3, "maximum": 1},
        {"$ref": "#"},
        {"type": "object", "properties": {f"p{number}": {} for number in range(2000)}},
        {"allOf": [{"type": "string", "pattern": f"a{{1,{number}}}"} for number in range(1, 60)]},
    ],
)
def test_a_schema_that_cannot_be_kept_is_refused(schema):
    """What would not be enforced is named, before anything is generated."""
    with pytest.raises(MealkitError) as caught:
        answer(Noise(), schema)
    found = caught.value.problems[0]
    assert (found.code, found.where) == ("REQUEST_UNSUPPORTED", "response_format")


@pytest.mark.parametrize("named", [None, "subtract"])
@pytest.mark.parametrize("seed", range(5))
def test_a_call_that_must_be_is(named, seed):
    """tool_choice required, or a name, makes a call whose arguments fulfil the function's schema."""
    tools = Tools(FUNCTIONS, "required", named, parallel=False)
    text, calls, last = answer(Noise(seed), None, tools, max_tokens=400)
    assert (text, last.reason, len(calls)) == ("", "tool_calls", 1)
    assert calls[0].name in ({named} if named else {"add", "subtract"})
    jsonschema.validate(json.loads(calls[0].arguments), FUNCTIONS[0]["function"]["parameters"])


def test_several_calls_may_be():
    """With parallel calls there is one at least, and all of them fulfil their schemas."""
    tools = Tools(FUNCTIONS, "required", None, parallel=True)
    counts = set()
    for seed in range(12):
        text, calls, last = answer(Noise(seed, liking=-2.0), None, tools, max_tokens=500)
        assert text == "" or last.reason == "length"
        counts.add(len(calls))
        for call in calls:
            jsonschema.validate(json.loads(call.arguments), FUNCTIONS[0]["function"]["parameters"])
    assert max(counts) > 1


def test_an_answer_may_call_or_fulfil_the_schema():
    """Tools and a schema together: either a call, or an answer that the schema allows."""
    schema = {"enum": ["yes", "no"]}
    seen = set()
    for seed in range(12):
        tools = Tools(FUNCTIONS, "auto", None, parallel=False)
        text, calls, last = answer(Noise(seed), schema, tools, max_tokens=400)
        assert last.reason in ("stop", "tool_calls")
        assert calls or json.loads(text) in ("yes", "no")
        seen.add(bool(calls))
    assert seen == {True, False}


class Blank(ScriptedModel):
    """A model whose tokenizer puts a space before the first word, as sentencepiece does."""

    def tokenize(self, text, *, special):
        return super().tokenize(" " + text, special=special)


def test_a_tokenizer_that_adds_to_a_text_does_not_confuse_the_schema():
    """What must come next comes as it is, though the tokenizer would write it differently."""
    generator = Generator(Blank(), config())
    schema = {
        "type": "object",
        "properties": {"a": {"const": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }
    request = ChatInput([{"role": "user", "content": "go"}], sampling(), 1, None, None, schema)
    events = list(generator.chat(request, lambda: False))
    assert "".join(item.text for item in events if isinstance(item, Written)) == '{"a": 1}'
    assert isinstance(events[-1], Finished)


def test_constraints_do_not_share_what_they_have_seen():
    """Several answers under one schema are as many constraints."""
    first = Schemas(Noise()).constraint({"const": "ab"}, "x")
    second = first.copy()
    first.accept(ord('"'))
    assert first.allowed()[ord("a")]
    assert not second.allowed()[ord("a")]
    assert second.allowed()[ord('"')]


def test_several_answers_fulfil_one_schema():
    """Each of them is bound from its beginning to its end."""
    generator = Generator(Noise(), config())
    schema = {"type": "array", "items": {"const": 1}, "maxItems": 2}
    request = ChatInput([{"role": "user", "content": "go"}], sampling(), 4, None, None, schema)
    events = list(generator.chat(request, lambda: False))
    for index in range(4):
        mine = [item for item in events if isinstance(item, Written) and item.index == index]
        assert json.loads("".join(item.text for item in mine)) in ([], [1], [1, 1])

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
from mealkit.worker.generation.names_once import NamesOnce
from mealkit.worker.generation.schema_keywords import enforceable
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


A = {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]}
B = {"type": "object", "properties": {"k": {"const": "b"}, "x": {}}, "required": ["k", "x"]}
DEFINED = {"$defs": {"a": A, "b": B, "x": {"type": "object", "properties": {"x": {}}}}}
REFERRED = [{"$ref": f"#/$defs/{name}"} for name in "abx"]
ANY_NAME = {"type": "string", "description": "a name"}
COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 2}


@pytest.mark.parametrize(
    "schema",
    [
        {**COUNTS, "propertyNames": ANY_NAME},
        {**COUNTS, "propertyNames": True, "dependentRequired": {}, "unevaluatedProperties": True},
        {"type": "array", "items": {"const": 1}, "uniqueItems": False, "maxItems": 2},
        {"type": "string", "format": "phone", "maxLength": 5},
        {"type": "string", "format": "password", "maxLength": 5},
        {"type": "string", "maxLength": 5, "if": {"minLength": 2}, "minContains": 1},
        {"oneOf": [{"type": "null"}, {"type": "boolean"}], "title": "t", "default": None},
        {"oneOf": REFERRED[:2], "discriminator": {"propertyName": "k"}, **DEFINED},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://a.invalid/b", **A},
        {"x-order": 1, "examples": [1], "deprecated": True, "readOnly": True, "const": 1},
        {
            "type": "object",
            "properties": {"uniqueItems": {"const": 1}, "format": {"enum": ["phone"]}},
            "required": ["uniqueItems", "format"],
            "additionalProperties": False,
        },
    ],
    ids=json.dumps,
)
def test_keywords_without_effect_are_left_out(schema):
    """What no answer can break is no reason to refuse a schema; what it can break binds still."""
    text, _, last = answer(Noise(3), schema, max_tokens=600)
    if last.reason == "stop":
        jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"oneOf": REFERRED[1:], **DEFINED},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"oneOf": [{"enum": [1, 2]}, {"enum": [2, 3]}]},
        {"oneOf": [{**A, "required": []}, {**B, "required": ["x"]}]},
    ],
    ids=json.dumps,
)
def test_an_answer_that_may_match_two_parts_is_refused_with_a_way_out(schema):
    """OneOf binds only if its parts exclude each other; the hint says what to write instead."""
    with pytest.raises(MealkitError) as caught:
        answer(Noise(), schema)
    [found] = caught.value.problems
    assert "oneOf" in found.message
    assert "write anyOf" in found.hint


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_object_has_a_name_twice(seed, temperature):
    """Even if the model would write nothing else: the second time, the name goes on."""
    model = Noise(seed, liking=-1000.0)
    plain = model.logits

    def repeating():
        logits = plain()
        logits[[model.vocabulary.index(b"name"), ord('"')]] += 20
        return logits

    model.logits = repeating
    text, _, _ = answer(
        model,
        {"type": "object", "additionalProperties": {"const": 1}, "minProperties": 3},
        temperature=temperature,
        max_tokens=80,
    )
    names = []
    json.JSONDecoder(object_pairs_hook=names.extend).decode(text[: text.rindex(",")] + "}")
    keys = [name for name, _ in names]
    assert len(keys) > 1
    assert len(set(keys)) == len(keys)


def test_a_name_that_only_may_be_repeated_is():
    """An object that the schema forces to go on has no way out, and is written as before."""
    place = NamesOnce().after(b'{"a": {"a": [1, "a", "a"], "b": "\\"a"}, "\\u0062": "a"')
    assert place is not None
    assert place.after(b', "c"') is not None
    assert place.after(b', "a"') is None
    assert place.after(b', "b') is not None
    assert place.after(b', "b"') is None


STRICT = [{**item, "function": {**item["function"], "strict": True}} for item in FUNCTIONS]
LOOSE = {"type": "function", "function": {"name": "loose", "parameters": {"not": {}}}}


@pytest.mark.parametrize("parallel", [True, False])
def test_a_strict_function_binds_as_soon_as_a_call_opens(parallel):
    """Text is free until then; and a function that is not strict may have a schema of any kind."""
    seen = set()
    for seed in range(16):
        model = Noise(seed, liking=-1.0)
        plain = model.logits

        def calling(model=model, plain=plain):
            logits = plain()
            logits[model.vocabulary.index(b"<tool_call>")] += 8
            return logits

        model.logits = calling
        tools = Tools([*STRICT, LOOSE], "auto", None, parallel=parallel)
        text, calls, last = answer(model, None, tools, max_tokens=400, temperature=1.0, seed=seed)
        assert "<tool" not in text or last.reason == "length"
        for call in calls:
            assert call.name in {"add", "subtract", "loose"}
            if call.name != "loose":
                jsonschema.validate(
                    json.loads(call.arguments), FUNCTIONS[0]["function"]["parameters"]
                )
        seen |= {bool(text), bool(calls) and "called"}
    assert {True, "called"} <= seen


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"x": {"type": "integer"}}, "required": ["x"]},
        {"type": ["object", "null"], "properties": {"x": {"const": 1}}, "required": ["x"]},
        {"$ref": "#/$defs/a", "$defs": {"a": A}},
        {
            "type": "object",
            "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/properties/x"}},
            "required": ["x", "y"],
            "$defs": {"a": A},
        },
        None,
    ],
    ids=json.dumps,
)
def test_arguments_are_an_object(parameters):
    """Whatever the function's schema leaves out; its references lead to its own definitions."""
    given = {"name": "f"} if parameters is None else {"name": "f", "parameters": parameters}
    tool = {"type": "function", "function": given}
    for seed in range(4):
        tools = Tools([FUNCTIONS[0], tool], "required", "f", parallel=False)
        text, calls, last = answer(Noise(seed), None, tools, max_tokens=900)
        assert text == ""
        if last.reason == "tool_calls":
            arguments = json.loads(calls[0].arguments)
            assert isinstance(arguments, dict)
            jsonschema.validate(arguments, parameters or {})


@pytest.mark.parametrize("kind", ["string", ["null"], None, 5, {}])
def test_arguments_that_are_no_object_are_refused(kind):
    """They are not called with anything else."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": kind}}}
    with pytest.raises(MealkitError, match="expected object"):
        answer(Noise(), None, Tools([tool], "required", None, parallel=False))


def test_comparing_alternatives_takes_limited_time():
    """However often a schema refers to large definitions; then oneOf is refused as before."""
    names = [f"p{number}" for number in range(1500)]
    large = {"type": "object", "properties": {name: {} for name in names}, "required": names}
    both = {"oneOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]}
    schema = {"$defs": {"a": large, "b": {**large}}, "anyOf": [both] * 1500}
    found = enforceable(schema)
    assert all("oneOf" in item for item in found["anyOf"])


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

    def tokenize(self, text, *, rendered):
        return super().tokenize(" " + text, rendered=rendered)


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

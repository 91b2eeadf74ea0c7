"""Which values break which rule of a data contract, and what a violation says."""

import json
from datetime import date

import pytest

from mealkit.contract.checker import Checker
from mealkit.contract.rule_forms import ToolSet
from mealkit.contract.value_schema import SchemaFaultError, schema_fault
from mealkit.contract.violation import MAX_VIOLATIONS
from mealkit.errors import CATALOGUE, DataError, Owner
from mealkit.recipe.data_contract import DataContract

TOOLS = ToolSet(count_tokens=lambda text: len(text.split()), today=lambda: date(2026, 7, 1))


def checker(tools=TOOLS, **inputs):
    contract = DataContract.model_validate_json(json.dumps({"inputs": inputs}))
    return Checker.of(contract, tools)


def broken(values, tools=TOOLS, **inputs):
    """Return field and rule of each violation."""
    return [(item.field, item.rule) for item in checker(tools, **inputs).check(values)]


@pytest.mark.parametrize(
    ("rules", "value", "expected"),
    [
        ({"length": {"maximum_characters": 3}}, "abc", []),
        ({"length": {"maximum_characters": 3}}, "äöüß", [("x", "length.maximum_characters")]),
        ({"length": {"minimum_characters": 1}}, ["a", ""], [("x[1]", "length.minimum_characters")]),
        ({"length": {"maximum_tokens": 2}}, "one two three", [("x", "length.maximum_tokens")]),
        ({"length": {"minimum_tokens": 2}}, {"text": "one"}, [("x.text", "length.minimum_tokens")]),
        ({"length": {"maximum_characters": 0}}, 12345, []),
        ({"range": {"minimum": 0, "maximum": 1}}, 0.5, []),
        ({"range": {"minimum": 0}}, [[1, -1], [2]], [("x[0][1]", "range.minimum")]),
        ({"range": {"maximum": 1}}, {"a": {"b": 2}, "c": "d"}, [("x.a.b", "range.maximum")]),
        ({"range": {"maximum": 1}}, [0, "0"], [("x[1]", "range")]),
        ({"range": {"maximum": 1}}, True, [("x", "range")]),
        ({"range": {"minimum": 0}}, 10**400, []),
        ({"schema": {"schema": {"type": "integer"}}}, [1, "a"], [("x[1]", "schema")]),
        (
            {"schema": {"schema": {"type": "array", "minItems": 3, "items": {"type": "integer"}}}},
            [1, "a"],
            [("x", "schema"), ("x[1]", "schema")],
        ),
        ({"schema": {"schema": {"pattern": "^a+$"}}}, "ab", [("x", "schema")]),
        ({"provenance": {"required": ["source"]}}, [{"source": "a"}, {}], [("x[1]", "provenance")]),
        ({"provenance": {"required": ["source"]}}, {"source": " "}, [("x", "provenance")]),
        ({"provenance": {"required": ["source"]}}, "text", [("x", "provenance")]),
        ({"age": {"maximum_days": 31}}, "2026-05-31", []),
        ({"age": {"maximum_days": 31}}, "2026-05-30", [("x", "age")]),
        ({"age": {"maximum_days": 31}}, "2026-06-30T23:59:59Z", []),
        ({"age": {"maximum_days": 31}}, [{"date": "1999-01-01"}], [("x[0].date", "age")]),
        ({"age": {"maximum_days": 9, "member": "when"}}, {"when": "soon"}, [("x.when", "age")]),
        ({"age": {"maximum_days": 9}}, {}, [("x.date", "age")]),
        ({"age": {"maximum_days": 9}}, "0001-01-01T00:00:00+14:00", [("x", "age")]),
        ({"age": {"maximum_days": 9}}, "9999-12-31T23:59:59-14:00", [("x", "age")]),
        ({"age": {"maximum_days": 9, "action": "off"}}, "never", []),
    ],
)
def test_a_rule_names_the_field_that_breaks_it(rules, value, expected):
    """A violation names the field, with the item of a list and the member of an object."""
    assert broken({"x": value}, x=rules) == expected


def test_the_text_of_a_message_is_its_content():
    """Roles and images are not texts; parts of a message are named one by one."""
    messages = [
        {"role": "user", "content": "good"},
        {"role": "user", "content": [{"type": "text", "text": "too long"}]},
    ]
    found = broken({"messages": messages}, messages={"length": {"maximum_characters": 4}})
    assert found == [("messages[1].content[0].text", "length.maximum_characters")]


def test_a_member_of_an_object_can_be_an_input():
    """A name with a dot is a member of an object, unless a field has that name."""
    rules = {"range": {"maximum": 9}}
    assert broken({"a": {"b": 10}}, **{"a.b": rules}) == [("a.b", "range.maximum")]
    assert broken({"a.b": 1, "a": {"b": 10}}, **{"a.b": rules}) == []


def test_an_input_that_is_left_out_breaks_nothing():
    """Which inputs a request must have is the endpoint's rule."""
    assert broken({"y": 1, "x": None}, x={"range": {"minimum": 0}}) == []


def test_a_violation_says_everything():
    """A violation has field, value, rule, what was measured and required, code and owner."""
    rules = {"length": {"maximum_characters": 5, "action": "warn"}}
    (found,) = checker(x=rules).check({"x": "far too long\n" * 20})
    assert found.message == "x has 260 characters, expected at most 5 characters"
    assert found.as_json() == {
        "field": "x",
        "rule": "length.maximum_characters",
        "action": "warn",
        "value": found.value,
        "measured": "260 characters",
        "required": "at most 5 characters",
        "code": "DATA_LENGTH",
        "owner": "caller",
    }
    assert "\n" not in found.value
    assert len(found.value) < 120
    assert found.problem().owner is Owner.CALLER


def test_a_schemas_keyword_is_named():
    """The violation of a schema names the keyword and its value, and does not repeat the caller's."""
    schema = {"type": "array", "items": {"type": "string", "minLength": 3}}
    (found,) = checker(x={"schema": {"schema": schema}}).check({"x": ["abc", "\x1b["]})
    assert (found.field, found.required) == ("x[1]", "minLength: 3")
    assert found.measured == "an invalid value (the value is shorter than 3 characters)"
    assert found.value == repr("\x1b[")


def test_a_unit_is_named():
    """The unit of a number is in what was measured and what is required."""
    (found,) = checker(x={"range": {"minimum": -90, "unit": "degrees"}}).check({"x": -91.5})
    assert (found.measured, found.required) == ("-91.5 degrees", "at least -90 degrees")


def test_violations_are_bounded():
    """A request with thousands of bad items gets a bounded answer."""
    found = checker(x={"range": {"maximum": 0}}).check({"x": list(range(1, 100_000))})
    assert len(found) == MAX_VIOLATIONS
    (found,) = checker(x={"range": {"maximum": 9}}).check({"x": 10**4000})
    assert len(found.measured) < 100


def test_what_cannot_be_checked_is_said():
    """Without a tokenizer, the rule of tokens is not checked, and the checker names it."""
    rules = {"length": {"maximum_tokens": 1, "maximum_characters": 5}}
    found = checker(ToolSet(), x=rules)
    assert found.unchecked == ("x.length.tokens",)
    assert [item.rule for item in found.check({"x": "a b c d"})] == ["length.maximum_characters"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "no such type"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"pattern": r"(a)\1"},
        {"pattern": "(?=a)b"},
    ],
)
def test_a_schema_that_fetches_or_backtracks_is_refused(schema):
    """A schema is refused if it is not valid, refers to a document, or needs a slow regex."""
    assert schema_fault(schema)
    with pytest.raises(SchemaFaultError):
        checker(x={"schema": {"schema": schema}})


def test_a_pattern_takes_linear_time():
    """A pattern that makes a backtracking engine hang is answered at once."""
    rules = {"schema": {"schema": {"pattern": "^(a+)+$"}}}
    assert broken({"x": "a" * 100_000 + "b"}, x=rules) == [("x", "schema")]


@pytest.mark.parametrize(
    "rules",
    [
        {"length": {"minimum_characters": 2, "maximum_characters": 1}},
        {"length": {"minimum_tokens": 2, "maximum_tokens": 1}},
        {"range": {"minimum": 2, "maximum": 1}},
    ],
)
def test_bounds_that_no_value_meets_are_refused(rules):
    """A minimum above the maximum is a mistake in kit.yaml, not a kit that refuses everything."""
    with pytest.raises(ValueError, match="is above the maximum"):
        checker(x=rules)


def test_every_rule_has_a_code_of_the_caller():
    """Each rule's code is in the catalogue, with 422 and the caller as owner."""
    names = ("schema", "length", "range", "age", "provenance", "languages", "quality", "duplicates")
    for name in names:
        entry = CATALOGUE[f"DATA_{name.upper()}"]
        assert (entry.owner, entry.error, entry.http_status) == (Owner.CALLER, DataError, 422)

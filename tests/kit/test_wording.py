"""Each kind of error is worded with the field, its value, and what to write."""

import pytest
from pydantic.fields import FieldInfo

from mealkit.kit.wording import BAD_KEY, Fault, dotted, worded
from mealkit.recipe.kit import Contact, Hardware, Kit


def told(kind, path, value=None, **more):
    given = {"raw": None, "context": {}, "text": "Odd", "field": None, "siblings": (), "home": None}
    fault = Fault(kind=kind, path=path, value=value, where="kit.yaml:1", **(given | more))
    found = worded(fault)
    return found.code, found.message, found.hint


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "the kit"),
        (("name",), "name"),
        (("model", "weights", 0, "repo"), "model.weights[0].repo"),
        ((0,), "[0]"),
    ],
)
def test_a_path_is_written_as_people_do(path, text):
    """Items of lists stand in brackets."""
    assert dotted(path) == text


def test_a_missing_field_is_explained():
    """By its own description."""
    field = Contact.model_fields["team"]
    code, message, hint = told("missing", ("owner", "team"), {}, field=field)
    assert (code, message) == ("KIT_FIELD_MISSING", "owner.team is missing")
    assert hint.startswith("add `team:` - ")


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        ({"siblings": ("team", "contact")}, "did you mean 'team'?"),
        ({"home": "serving"}, "'tema' belongs under serving"),
        ({"siblings": ("x", "y")}, "delete the line; the fields here are x, y"),
    ],
)
def test_an_unknown_field_is_taken_for_its_likeliest(more, hint):
    """A similar name first, another place next, and what there is at last."""
    found = told("extra_forbidden", ("owner", "tema"), 1, **more)
    assert found == ("KIT_UNKNOWN_FIELD", "the field owner.tema does not exist", hint)


@pytest.mark.parametrize(
    ("value", "raw", "said", "hint"),
    [
        (1.0, "1.0", "is 1.0, which YAML reads as a number", 'version: "1.0"'),
        (True, "yes", "is yes, which YAML reads as true or false", 'version: "yes"'),
        ([], None, "is a list, expected text", ""),
    ],
)
def test_a_text_without_quotes_is_shown_in_quotes(value, raw, said, hint):
    """As it is written in the file, not as Python would write it."""
    _, message, found = told("string_type", ("version",), value, raw=raw)
    assert said in message
    assert hint in (found or "")


def test_a_value_that_is_empty_says_so():
    """Whatever kind of error it is."""
    _, message, hint = told("int_type", ("serving", "port"), None)
    assert (message, hint) == ("serving.port has no value", "write a value after the colon")


@pytest.mark.parametrize(
    ("kind", "value", "context", "said", "hint"),
    [
        ("int_type", "80", {}, "is '80', expected a number", "a whole number, without quotes"),
        ("float_type", [], {}, "is a list, expected a number", "write a number"),
        ("bool_type", "yes", {}, "expected true or false", "without quotes"),
        ("enum", "nome", {"expected": "'none' or 'nvidia'"}, "one of none, nvidia", "'none'?"),
        ("enum", "x", {"expected": "'one'"}, "is 'x', expected one", "choose one"),
        ("string_pattern_mismatch", "A", {"pattern": "[a-z]"}, "the right form", "match [a-z]"),
        (
            "string_too_long",
            "xxx",
            {"max_length": 2},
            "has 3 characters, expected at most 2",
            "shorten it",
        ),
        ("tuple_type", "a", {}, "expected a list", "write x: [a]"),
        ("dict_type", 1, {}, "expected a mapping", "write its fields below it"),
        ("less_than_equal", 9, {"ge": 1, "le": 8}, "at least 1 and at most 8", "at least 1"),
        ("value_error", 1, {"error": "no good"}, "x: no good", ""),
        ("something_new", 1, {}, "x is 1: odd", ""),
    ],
)
def test_each_kind_has_its_words(kind, value, context, said, hint):
    """The value, what is expected, and what to write."""
    _, message, found = told(kind, ("x",), value, context=context)
    assert said in message
    assert hint in (found or "")


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (4, "write 4GB or 4GiB"),
        ("8 MB", "write 8MB or 8MiB"),
        ("16 gigs", "write 16GB or 16GiB"),
        (2048, "write 2048MB or 2048MiB"),
        (2147483648, "write 2147483648B"),
        ("2gib", "write 2GiB"),
        ("1.5g", "write 1.5GB or 1.5GiB"),
        ("many", "write 4GB"),
    ],
)
def test_a_size_is_shown_with_its_unit(value, hint):
    """The number is kept where there is one."""
    field = Hardware.model_fields["memory"]
    _, message, found = told("string_type", ("hardware", "memory"), value, field=field)
    assert "a number with its unit" in message
    assert hint in found


@pytest.mark.parametrize(
    ("value", "choices", "hint"),
    [
        ("chat", "'generation' or 'prediction'", "did you mean 'generation'?"),
        ("feature-extraction", "'embeddings' or 'reranking'", "did you mean 'embeddings'?"),
        ("x86_64", "'amd64' or 'arm64'", "did you mean 'amd64'?"),
        ("aarch64", "'amd64' or 'arm64'", "did you mean 'arm64'?"),
        ("local", "'hub', 'folder' or 'http'", "did you mean 'folder'?"),
        ("cuda", "'none' or 'required'", "did you mean 'required'?"),
        ("cuda", "'a' or 'b'", "choose one of a, b"),
    ],
)
def test_a_choice_that_others_call_otherwise_is_known(value, choices, hint):
    """By the names that other programs use for it."""
    found = told("literal_error", ("x",), value, context={"expected": choices})
    assert found[2] == hint


def test_what_is_no_text_is_shown_as_written():
    """As in the file, not as in Python."""
    found = told("literal_error", ("x",), True, raw="true", context={"expected": "'a' or 'b'"})
    assert found[1] == "x is true, expected one of a, b"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("8000", "write 8000, a whole number, without quotes"),
        ("60s", "write 60, a whole number, without a unit"),
        ("many", "write a whole number, without quotes"),
        ("1.5", "write a whole number, without quotes"),
    ],
)
def test_a_number_in_a_text_is_kept(value, hint):
    """With what has to go: the quotes, or the unit."""
    assert told("int_type", ("serving", "port"), value)[2] == hint


def test_a_part_without_fields_names_them():
    """The heading alone is a common slip while writing."""
    field = Kit.model_fields["owner"]
    found = told("model_type", ("owner",), None, field=field)
    assert found[1] == "owner has no value"
    assert found[2].startswith("write its fields below it, indented: team, contact")


def test_a_description_keeps_a_word_in_capitals():
    """FILE.py is not fILE.py."""
    field = FieldInfo(description="FILE.py:CLASS, in ``code``.")
    assert told("string_too_short", ("x",), "", field=field)[2] == "FILE.py:CLASS, in `code`"


def test_a_key_that_is_no_name_is_told_by_its_mapping():
    """The key itself is what is wrong."""
    _, message, hint = told(BAD_KEY, ("prompts", "A B"), "A B")
    assert message == "'A B' is not a valid name in prompts"
    assert "lower-case" in hint


def test_a_mapping_lists_its_fields():
    """So that they can be written."""
    _, _, hint = told("model_type", ("owner",), "x", field=Kit.model_fields["owner"])
    assert "team, contact" in hint


def test_a_long_value_is_cut():
    """A message is read by people."""
    _, message, _ = told("string_type", ("x",), "y" * 1000)
    assert len(message) < 120
    assert "..." in message

"""What pydantic refuses becomes one problem for each mistake, at its line."""

import json

import pytest
from fakes.kits import KIT
from pydantic import ValidationError

from mealkit.kit.document import read_document
from mealkit.kit.problems import problems_of
from mealkit.recipe.kit import Contact, Hardware, Kit, Model


def problems(model, text, prefix=()):
    """Validate a document; return code, line and message of each problem."""
    document, _ = read_document(text, "kit.yaml")
    data = document.data
    for step in prefix:
        data = data[step]
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(json.dumps(data))
    return [
        (item.code, item.where, item.message)
        for item in problems_of(caught.value, model, data, document, prefix)
    ]


OWNER = "team: a\ncontact: mailto:a@b.invalid\nsupport: at noon\n"


def test_each_mistake_is_told_with_its_line():
    """A value at its own, a missing field at that of its mapping."""
    found = problems(Contact, "team: 1\ncontact: mailto:a@b.invalid\n")
    assert {(code, where) for code, where, _ in found} == {
        ("KIT_INVALID", "kit.yaml:1"),
        ("KIT_FIELD_MISSING", "kit.yaml:1"),
    }


def test_a_misspelt_field_is_not_missing_too():
    """One mistake is one problem."""
    found = problems(Contact, OWNER.replace("support", "suport"))
    assert [code for code, *_ in found] == ["KIT_UNKNOWN_FIELD"]


def test_a_prefix_is_part_of_the_place():
    """A model that describes a part of the kit names the whole path."""
    text = "a: 1\nowner:\n  " + OWNER.replace("\n", "\n  ").replace("team: a", "team: []")
    ((_, where, message),) = problems(Contact, text, ("owner",))
    assert where == "kit.yaml:3"
    assert message.startswith("owner.team is a list")


def test_what_pydantic_adds_to_a_path_is_left_out():
    """The tag of a union is not in the file."""
    text = (
        "name: a\nlicense: MIT\nweights:\n"
        "  - {source: hub, repo: a/b, revision: main, files: [x], wrong: 1}\n"
    )
    ((code, where, message),) = problems(Model, text)
    assert (code, where) == ("KIT_UNKNOWN_FIELD", "kit.yaml:4")
    assert "weights[0].wrong" in message


@pytest.mark.parametrize(
    ("source", "code"), [("source: hubb, ", "KIT_INVALID"), ("", "KIT_FIELD_MISSING")]
)
def test_a_wrong_or_missing_tag_is_told_at_its_field(source, code):
    """Not once for every member of the union."""
    text = f"name: a\nlicense: MIT\nweights:\n  - {{{source}repo: a/b}}\n"
    ((found, _, message),) = problems(Model, text)
    assert (found, "weights[0].source" in message) == (code, True)


def test_a_value_that_a_union_refuses_twice_is_told_once():
    """With all that its place would take."""
    found = problems(Hardware, "gpu: none\nmemory: 1GiB\ndisk: much\n")
    assert len(found) == 1
    assert "auto" in found[0][2]


def _of_kit(**fields):
    """The problems of a whole kit with these fields."""
    text = json.dumps({**KIT, **fields})
    document, _ = read_document(text, "kit.yaml")
    with pytest.raises(ValidationError) as caught:
        Kit.model_validate_json(text)
    return problems_of(caught.value, Kit, document.data, document)


ASK = {"kind": "similarity", "first": "a", "second": "b"}


@pytest.mark.parametrize(
    ("ask", "where", "message", "hint"),
    [
        (
            {"kind": "similarty"},
            "kind",
            "is 'similarty', expected one of embedding",
            "'similarity'",
        ),
        (
            {"kind": None},
            "kind",
            "is missing",
            "add `kind:`, the kind of question: embedding, similarity",
        ),
        ({"second": None}, "second", "is missing", "the column with the second text"),
        ({"secnd": "b", "second": None}, "secnd", "does not exist", "did you mean 'second'?"),
    ],
)
def test_a_question_of_a_claim_is_explained_by_its_kind(ask, where, message, hint):
    """The kind decides which fields a question has, as the source does for weights."""
    whole = {name: value for name, value in {**ASK, **ask}.items() if value is not None}
    claim = {"name": "a", "source": "b", "data": "c", "metric": "spearman", "value": 1}
    claim |= {"ask": whole, "tolerance": {"absolute": 1}}
    (found,) = _of_kit(claims=[claim])
    assert f"claims[0].ask.{where}" in found.message
    assert message in found.message
    assert hint in (found.hint or "")


def test_a_list_that_is_too_long_is_counted():
    """In the words of a kit, not of its models."""
    cases = [{"name": "a", "request": {}}] * 1001
    (found,) = _of_kit(cases=cases)
    assert found.message == "cases has 1001 items, expected at most 1000"

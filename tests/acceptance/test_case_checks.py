"""Each form of an expectation accepts what it states and nothing else."""

import json

import pytest
from fakes.answering_kit import lock_of

from mealkit.acceptance.answer_journal import Reply
from mealkit.acceptance.case_checks import case_question, case_result, unmet
from mealkit.acceptance.report import Verdict
from mealkit.recipe.cases import Case, Expectation
from mealkit.recipe.kit import Task

HUGE = 10**400
"""An integer that is larger than any float."""


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        ({"equals": None}, None, 0),
        ({"equals": {"a": 1}}, {"a": 1.0}, {"a": True}),
        ({"equals": [1, 2]}, [1, 2], [2, 1]),
        ({"equals": 2 / 3}, 0.6666666666666667, 0.667),
        ({"contains": "b"}, "abc", "ac"),
        ({"contains": "b"}, ["a", "b"], ["ab"]),
        ({"contains": "b"}, "b", 7),
        ({"matches": "^[a-z]+$"}, "abc", "aBc"),
        ({"matches": "b"}, "abc", 7),
        ({"matches": "("}, None, "("),
        ({"schema": {"type": "array", "minItems": 1}}, [1], []),
        ({"close": 1.5, "within": 0.1}, 1.6, 1.61),
        ({"close": 1.5, "within": 0.1}, 1.5, True),
        ({"close": [1, 2], "within": 0}, [1, 2], [1, 2, 3]),
        ({"cosine": [1, 0], "at_least": 1}, [3, 0], [3, 0.1]),
        ({"cosine": [1, 0], "at_least": 0.9}, [[3, 0]], [1, 2, 3]),
        ({"cosine": [1, 0], "at_least": -1}, [-1, 0], "text"),
        ({"equals": 1.5}, 1.5, HUGE),
        ({"close": 1.5, "within": 1}, 2.5, HUGE),
        ({"cosine": [1, 0], "at_least": 0}, [1, 0], [HUGE, 0]),
    ],
)
def test_an_expectation_accepts_what_it_states(form, right, wrong):
    """1 is 1.0 and is not true; a regular expression that is not valid matches nothing."""
    expected = Expectation.model_validate_json(json.dumps(form))
    assert form == {"matches": "("} or unmet(expected, right) is None
    assert unmet(expected, wrong) is not None


def test_a_regular_expression_takes_linear_time():
    """One that takes exponential time in other engines ends at once."""
    expected = Expectation(matches="^(a+)+$")
    assert unmet(expected, "a" * 100_000 + "!") is not None


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"$ref": "file:///etc/hostname"}, "refers to another document"),
        ({"pattern": "(?=a)b"}, "is not valid"),
        ({"pattern": "^(a|a)*$"}, "does not match"),
    ],
)
def test_a_schema_of_a_stranger_is_harmless(schema, said):
    """Nothing is fetched for it, and its patterns take linear time."""
    fault = unmet(Expectation.model_validate({"schema": schema}), "a" * 50_000 + "!")
    assert said in fault


def test_files_of_a_case_are_sent_as_data(tmp_path):
    """A file goes into the input as a data URL; one that is not here is the reason."""
    (tmp_path / "dot.png").write_bytes(b"png")
    case = Case.model_validate(
        {"name": "c", "request": {"input": {"n": 1}}, "files": {"f": "dot.png"}}
    )
    question = case_question(case, lock_of(Task.PREDICTION), tmp_path)
    assert question.path == "/v1/predict"
    assert question.body["input"] == {"n": 1, "f": "data:image/png;base64,cG5n"}
    for folder in (None, tmp_path / "other"):
        with pytest.raises(LookupError, match=r"dot\.png"):
            case_question(case, lock_of(Task.PREDICTION), folder)


def test_a_problem_or_a_missing_place_fails_a_case():
    """The reason has the problem's code, or where the answer has nothing."""
    case = Case.model_validate_json(
        '{"name": "c", "request": {}, "expect": [{"at": "/a/0", "equals": null}]}'
    )
    refused = case_result(case, Reply(problem="REQUEST_INVALID", message="no"))
    assert (refused.verdict, "REQUEST_INVALID" in refused.reason) == (Verdict.FAILS, True)
    assert case_result(case, Reply({"a": []})).faults[0].answered == "there is none"
    assert case_result(case, Reply({"a": [None]})).verdict is Verdict.HOLDS

"""A running kit's claims and cases are asked, measured and judged."""

import json
from pathlib import Path
from typing import Any

import pytest
from fakes.answering_kit import answer_of, answering_kit, claim_of, file_of, lock_of, vector_of

from mealkit.acceptance.questions import cosine
from mealkit.acceptance.report import Report, Verdict
from mealkit.acceptance.target import TestOptions
from mealkit.acceptance.testing import run_tests, with_needed_data
from mealkit.errors import MealkitError, Owner
from mealkit.recipe.cases import Case
from mealkit.recipe.kit import Task
from mealkit.recipe.lock import Lock

WORDS = ["a", "ab", "abc", "b", "bc", "ca", "aab", "cb"]


def case_of(form: dict[str, Any]) -> Case:
    return Case.model_validate_json(json.dumps(form))


def rows_file(folder: Path, rows: list[dict[str, Any]], name: str = "rows") -> Path:
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def measured(
    lock: Lock, path: Path | None, options: TestOptions | None = None, answer: Any = answer_of
) -> Report:
    datasets = {item.path: path for data in lock.datasets.values() for item in data.files if path}
    with answering_kit(lock) as kit:
        kit.answer = answer
        return run_tests(lock, kit.target, datasets, options or TestOptions())


def similarity_rows() -> list[dict[str, Any]]:

    return [
        {"a": one, "b": two, "expected": cosine(vector_of(one), vector_of(two)), "kind": one[:1]}
        for one in WORDS
        for two in WORDS
    ]


@pytest.mark.parametrize(
    ("task", "form", "rows"),
    [
        (Task.EMBEDDINGS, {"slices": ["kind"]}, similarity_rows()),
        (
            Task.CLASSIFICATION,
            {"ask": {"kind": "classification"}, "metric": "accuracy"},
            [{"text": word, "expected": word[0]} for word in WORDS],
        ),
        (
            Task.GENERATION,
            {"ask": {"kind": "generation", "text": "q"}, "metric": "exact_match"},
            [{"q": word, "expected": word.upper()} for word in WORDS],
        ),
        (
            Task.PREDICTION,
            {
                "ask": {"kind": "prediction", "input": {"text": "text"}, "at": "/words"},
                "metric": "json_equal",
            },
            [{"text": f"z {word}", "expected": [word, "z"]} for word in WORDS],
        ),
    ],
)
def test_a_claim_that_is_true_holds_and_one_that_is_not_fails(tmp_path, task, form, rows):
    """Each kind of question is asked of every row, and the claimed value decides."""
    path = rows_file(tmp_path, rows)
    file = file_of(path, "rows/rows.jsonl")
    good = claim_of(name="good", **form)
    bad = claim_of(name="bad", **(form | {"value": 0.5}))
    report = measured(lock_of(task, [good, bad], files=[file]), path)
    assert [result.verdict for result in report.claims] == [Verdict.HOLDS, Verdict.FAILS]
    first = report.claims[0]
    assert first.measured == pytest.approx(1.0)
    assert (first.rows, first.refused) == (len(rows), 0)
    assert first.interval == pytest.approx((1.0, 1.0))
    assert report.claims[1].owner is Owner.KIT_AUTHOR
    asked = [sample.asked for result in report.claims for sample in result.samples]
    assert not [text for text in asked if "encoding_format" in text or "model" in text]
    assert report.datasets == {"rows/rows.jsonl": file.sha256}
    if "slices" in form:
        assert {item.value for item in first.slices} == {"a", "b", "c"}


def test_cases_are_asked_and_a_wrong_answer_is_shown(tmp_path):
    """A case whose answer is as stated holds; another one shows what was expected, and the answer."""
    cases = [
        case_of(
            {"name": "right", "request": {"input": {"text": "b a"}}}
            | {"expect": [{"at": "/words/0", "equals": "a"}]}
        ),
        case_of(
            {"name": "wrong", "request": {"input": {"text": "b a"}}}
            | {"expect": [{"at": "/count", "close": 2, "within": 0.1}]}
        ),
    ]
    report = measured(lock_of(Task.PREDICTION, cases=cases), None)
    assert [case.verdict for case in report.cases] == [Verdict.HOLDS, Verdict.FAILS]
    assert report.cases[1].faults[0].answered == "1.5"
    assert report.failed == (report.cases[1],)


def test_a_kit_with_another_recipe_is_not_tested():
    """The running kit must have the recipe of the lock."""
    lock = lock_of(cases=[Case(name="case", request={"input": "a"})])
    with answering_kit(lock) as kit:
        kit.recipe = "sha256:" + "0" * 64
        with pytest.raises(MealkitError) as raised:
            run_tests(lock, kit.target, {}, TestOptions())
    assert raised.value.problems[0].code == "TEST_OTHER_RECIPE"


def test_only_the_data_of_the_claims_to_test_is_needed(tmp_path):
    """Cases need none, and a claim that ranks documents needs its corpus, too."""
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    files = [file_of(path, f"{name}/rows.jsonl") for name in ("rows", "queries", "corpus")]
    ranked = {"kind": "retrieval", "query": "q", "corpus": "corpus/rows.jsonl"}
    retrieval = claim_of(name="ranked", data="queries", ask=ranked, metric="mrr")
    lock = lock_of(Task.EMBEDDINGS, [claim_of(), retrieval], files=files)

    def needed(**options):
        return set(with_needed_data(lock, TestOptions(**options)).datasets)

    assert needed() == {"rows", "queries", "corpus"}
    assert needed(claims=("ranked",)) == {"queries", "corpus"}
    assert needed(cases_only=True) == set()

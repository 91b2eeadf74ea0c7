"""A kit's first case is asked before it is ready, is the canary, and is the example of its API."""

import json

import pytest
from runtime.conftest import python_kit, with_code

from mealkit.recipe.cases import Case
from mealkit.recipe.data_contract import DataContract, InputContract, LengthRule

HANDLER = """
import sys
from typing import Annotated
from pydantic import Field

class Handler:
    def predict(self, text: Annotated[str, Field(examples=["the signature's"])]) -> int:
        sys.stderr.write(f"asked for {text}\\n")
        if not text:
            raise ValueError("give a text")
        return len(text)
"""


def lock_with(make_lock, text="the case's", expect=(), files=None, **serving):
    given = {"input": {"text": text}}
    form = {"name": "salt", "request": given, "expect": expect, "files": files or {}}
    case = Case.model_validate_json(json.dumps(form))
    return python_kit(make_lock, serving=serving).model_copy(update={"cases": (case,)})


def said(kit):
    return [event["line"] for event in kit.events("worker")]


@pytest.fixture(scope="module")
def kit(start_shared, make_shared_lock):
    """A python kit with a case, checked every second."""
    expect = [{"equals": 10}, {"schema": {"type": "integer"}}]
    lock = lock_with(make_shared_lock, expect=expect, canary_seconds=1)
    return start_shared(lock, change=with_code(HANDLER)).wait_ready()


def test_predict_has_answered_the_case_when_the_kit_is_ready(kit):
    """The case takes the place of the signature's example, and its result is a metric."""
    assert kit.events("state")[-1]["reason"] == "answering requests"
    assert said(kit)[0] == "asked for the case's"
    assert not [line for line in said(kit) if "signature's" in line]
    assert kit.gauge('mealkit_case_met{case="salt"}') == 1


def test_a_quick_case_is_the_canary(kit):
    """The author has stated it, and every start runs it, so it can be run again."""
    before = said(kit).count("asked for the case's")
    kit.wait_for(lambda: said(kit).count("asked for the case's") > before)
    kit.wait_for(lambda: kit.gauge('mealkit_canaries_total{result="ok"}'))


def test_the_case_is_the_example_of_the_api(kit):
    """In the OpenAPI description, and on the page for people."""
    found = kit.client.get("/openapi.json").json()["paths"]["/v1/predict"]["post"]
    example = found["requestBody"]["content"]["application/json"]["example"]
    assert example == {"model": "stand-in", "input": {"text": "the case's"}}
    assert kit.client.post("/v1/predict", json=example).json()["output"] == 10
    assert "the case" in kit.client.get("/docs").text


@pytest.mark.parametrize(
    ("text", "expect", "files", "reason"),
    [
        ("", (), {}, "the kit refuses it: give a text"),
        ("oil", ({"equals": 3}, {"close": 4, "within": 0.5}), {}, "the answer is '3', expected"),
        ("", (), {"text": "a.txt"}, "it cannot be asked: the file a.txt of the kit"),
    ],
)
def test_a_case_that_is_not_met_is_stated(start, make_lock, text, expect, files, reason):
    """In the log, in the metrics and where readiness is asked for; the kit answers others."""
    rules = DataContract(inputs={"words": InputContract(length=LengthRule())})
    lock = lock_with(make_lock, text, expect, files, canary_seconds=1)
    lock = lock.model_copy(update={"data": rules})
    kit = start(lock, change=with_code(HANDLER)).wait_ready()
    said = kit.ready().json()["reason"]
    assert f"the case salt is not met: {reason}" in said
    assert "the data contract has rules for words, which is no input" in said
    assert kit.gauge('mealkit_case_met{case="salt"}') == 0
    assert kit.post("/v1/predict", input={"text": "fine"}).json()["output"] == 4
    # The canary asks again, does not restart the engine, and does not fill the log.
    kit.wait_for(lambda: kit.gauge('mealkit_canaries_total{result="ok"}'))
    (line,) = kit.events("case")
    assert reason in line["unmet"]

"""A kit of a paper's own code is ready after its predict has answered the author's example."""

import pytest
from runtime.conftest import python_kit, with_code

HANDLER = """
import sys
from typing import Annotated
from pydantic import Field

class Handler:
    def predict(self, text: Annotated[str, Field({about})]) -> int:
        sys.stderr.write(f"asked for {{text}}\\n")
        return {result}
"""


CHOICE = """
class Handler:
    def predict(self, a: str = "", b: str = "") -> str:
        if not a and not b:
            raise ValueError("give a or b")
        return a or b
"""


def handler(about='examples=["salt"]', result="len(text)"):
    return with_code(HANDLER.format(about=about, result=result))


def said(kit):
    return [event["line"] for event in kit.events("worker")]


def test_predict_has_run_when_the_kit_is_ready(start, make_lock):
    """Once, with the example; the canary does not run it again."""
    lock = python_kit(make_lock, serving={"canary_seconds": 1})
    kit = start(lock, change=handler()).wait_ready()
    assert kit.events("state")[-1]["reason"] == "answering requests"
    kit.wait_for(lambda: kit.gauge('mealkit_canaries_total{result="ok"}'))
    assert said(kit).count("asked for salt") == 1


def test_predict_that_fails_on_its_example_is_not_ready(start, make_lock):
    """The container ends with the line, and with the exception's message from its log."""
    kit = start(python_kit(make_lock), change=handler(result="{}[text]"))
    assert kit.wait_end() == 11
    assert kit.lines[-1]["code"] == "HANDLER_FAILED"
    assert kit.lines[-1]["where"] == "handler.py:9"
    assert "| the kit's code raised KeyError: 'salt'" in kit.lines[-1]["message"]
    assert "the kit's code raised KeyError: 'salt'" in said(kit)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (handler(about="min_length=1"), "predict was not tried, because its input text has no"),
        (with_code(CHOICE), "the kit refuses its own example: give a or b"),
    ],
)
def test_what_the_first_request_does_not_show_is_stated(start, make_lock, change, reason):
    """In the log, and where readiness is asked for."""
    kit = start(python_kit(make_lock), change=change).wait_ready()
    assert reason in kit.events("state")[-1]["reason"]
    assert reason in kit.client.get("/v1/health/ready").json()["reason"]

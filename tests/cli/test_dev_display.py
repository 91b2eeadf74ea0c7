"""What the author of a kit sees in the terminal while the kit is edited."""

import pytest

from mealkit.cli.dev_display import DevDisplay
from mealkit.errors import problem
from mealkit.pipeline.develop.dev_events import Failed, Frame, Raised, Saved

RAISED = Raised("KeyError: 'sugar'", (Frame("handler.py", 6, "predict", "x[word]", is_own=True),))
SAID = "the kit's code raised KeyError: 'sugar'\n  handler.py:6 in predict"


@pytest.mark.parametrize(
    ("code", "message", "is_said"),
    [
        ("HANDLER_FAILED", SAID, False),
        ("HANDLER_FAILED", "the kit's code raised OSError: sugar", True),
        ("ENGINE_START", "load failed: KeyError: 'sugar'", True),
    ],
)
def test_an_exception_is_shown_once(capsys, code, message, is_said):
    """A problem that repeats it is left out; one that says more is not."""
    display = DevDisplay(verbose=False, as_json=False)
    display.tell(RAISED)
    display.tell(Failed(problem(code, message), is_answering=True))
    shown = capsys.readouterr()
    assert shown.out.startswith("KeyError: 'sugar'\n  handler.py:6 in predict\n")
    assert (f"error[{code}]" in shown.err) == is_said


def test_a_save_begins_anew(capsys):
    """A problem of the next version is shown, even if nothing else shows its exception."""
    display = DevDisplay(verbose=False, as_json=False)
    display.tell(RAISED)
    display.tell(Saved(("handler.py",), (), "sha256:" + 64 * "0", "sha256:" + 64 * "0"))
    display.tell(Failed(problem("HANDLER_FAILED", SAID)))
    assert "error[HANDLER_FAILED]" in capsys.readouterr().err

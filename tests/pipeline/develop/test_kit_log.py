"""What the log of an edited kit means to its author."""

import json

from mealkit.pipeline.develop.dev_events import Answered, Failed, Frame, Printed, Raised, Step
from mealkit.pipeline.develop.kit_log import KitLog

TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/mealkit/lib/mealkit/engines/python/handling.py", line 67, in answer
    return self._begun(arguments, seed)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/etc/mealkit/code/parts/words.py", line 12, in split
    return table[word]
           ~~~~~^^^^^^
KeyError: 'sugar'
"""


def line(event, **fields):
    return json.dumps({"event": event, **fields})


def read(*lines):
    log = KitLog()
    return [event for item in lines for event in log.read(item)]


def printed(text, stream="stderr"):
    return [line("worker", stream=stream, line=item) for item in text.splitlines()]


def test_a_traceback_is_one_exception_with_its_frames():
    """The kit's own frames are told apart from those of libraries, by the kit's own paths."""
    (raised,) = read(*printed(TRACEBACK))
    assert isinstance(raised, Raised)
    assert raised.error == "KeyError: 'sugar'"
    assert [frame for frame in raised.frames if frame.is_own] == [
        Frame("parts/words.py", 12, "split", "return table[word]", is_own=True)
    ]
    assert len(raised.frames) == 2


def test_a_syntax_error_has_its_line():
    """A frame without a function, as of a file that cannot be parsed, counts too."""
    text = (
        '  File "/etc/mealkit/code/handler.py", line 3\n    def x(:\n          ^\nSyntaxError: no'
    )
    (raised,) = read(*printed(text))
    assert raised == Raised(
        "SyntaxError: no", (Frame("handler.py", 3, "", "def x(:", is_own=True),)
    )


def test_what_code_prints_is_shown_as_it_is():
    """A line of stdout that looks like a traceback is printed, and so is what follows a half one."""
    text = "Traceback (most recent call last):"
    assert read(*printed(text, "stdout")) == [Printed("stdout", text)]
    assert read(*printed(f"{text}\n!! not an exception")) == [
        Printed("stderr", "!! not an exception")
    ]


def test_requests_are_shown_and_probes_are_not():
    """A health check every few seconds would hide what the author asks."""
    found = read(
        line("request", method="GET", path="/v1/health/ready", status=200, seconds=0.1),
        line("request", method="POST", path="/v1/predict", status=500, seconds=0.25, code="X"),
        line("request", method="GET", path="/", status="odd", seconds=None),
    )
    assert found == [
        Answered("POST", "/v1/predict", 500, 0.25, "X", None),
        Answered("GET", "/", 0, None, None, None),
    ]


def test_a_version_is_ready_only_after_its_own_start():
    """A version that follows is not ready because the one before was."""
    log = KitLog()
    for text in (line("version", name=".1"), line("state", status="ready")):
        assert not list(log.read(text))
    assert (log.version, log.is_ready) == (".1", True)
    assert not list(log.read(line("version", name=".2")))
    assert (log.version, log.is_ready) == (".2", False)


def test_the_problem_of_a_version_is_told():
    """A version that cannot start, or whose first answer failed, has a problem with its place."""
    problem = {"code": "ENGINE_START", "message": "m", "where": "handler.py:1", "hint": "h"}
    failed, first, last = read(
        line("failed", **problem), line("first answer failed", **problem), json.dumps(problem)
    )
    assert isinstance(failed, Failed)
    assert (failed.problem.where, failed.is_answering) == ("handler.py:1", False)
    assert first.is_answering
    assert last.problem.code == "ENGINE_START"


def test_lines_of_any_form_do_no_harm():
    """The kit writes into its log; what is not understood is left out or printed."""
    odd = ["[1]", "no json", '{"event": 3}', '{"event": "request"}', '{"event": "failed"}', "{}"]
    found = read(*odd, line("worker"), line("state", status="loading", problem={}, reason="died"))
    assert Printed("stderr", "no json") in found
    assert Step("died") in found

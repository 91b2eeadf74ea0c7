"""Log lines: one JSON object per line."""

import io
import json

import pytest

from mealkit.runtime.watch.journal import Journal

LEVELS = ("debug", "info", "warning", "error")


@pytest.mark.parametrize("least", LEVELS)
def test_only_lines_of_a_level_are_written(least):
    """The problem that ends the process is written at any level."""
    stream = io.StringIO()
    journal = Journal(least, stream)
    for level in LEVELS:
        getattr(journal, level)("heard", number=1)
    journal.final({"code": "X"})
    *lines, last = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["level"] for line in lines] == list(LEVELS[LEVELS.index(least) :])
    assert last == {"code": "X"}
    assert all(line["event"] == "heard" and line["time"].endswith("+00:00") for line in lines)


def test_a_line_stays_one_line():
    """Line breaks and odd characters in a field are escaped."""
    stream = io.StringIO()
    Journal("info", stream).info("heard", text="a\nb\u2028\ud800")
    assert stream.getvalue().isascii()
    assert len(stream.getvalue().splitlines()) == 1


def test_a_reader_that_has_gone_stops_nothing():
    """The kit goes on without its log."""

    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    Journal("info", Gone()).info("heard")


def test_a_level_that_is_none():
    """It is refused where the journal is made."""
    with pytest.raises(KeyError):
        Journal("loud")

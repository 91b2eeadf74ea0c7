"""How a worker reads the bodies that the gateway writes."""

import pytest

from mealkit.errors import RequestError
from mealkit.worker.endpoints.request import MAX_DEPTH, read_request, texts_of, typed


def refused(body, build=dict):
    with pytest.raises(RequestError) as caught:
        read_request(body, build)
    (problem,) = caught.value.problems
    assert problem.code == "REQUEST_INVALID"
    assert len(problem.message) < 400
    return problem.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    ],
    ids=range(8),
)
def test_what_the_gateway_does_not_write_is_refused(body):
    """A worker does not fail on it."""
    refused(body)


@pytest.mark.parametrize(
    "error", [KeyError("x" * 5000), TypeError("t"), ValueError("v"), IndexError]
)
def test_a_field_that_is_wrong_is_one_short_answer(error):
    """What reading a field raises is told in a line."""

    def build(_values):
        raise error

    refused(b"{}", build)


def test_a_bug_is_not_the_callers():
    """Other errors pass through."""
    with pytest.raises(ZeroDivisionError):
        read_request(b"{}", lambda _values: 1 // 0)


def test_a_value_has_exactly_its_type():
    """True is no number, and a number is no text."""
    assert typed(1, int) == 1
    for value, kind in ((True, int), (1, float), (1, str), (None, dict)):
        with pytest.raises(TypeError, match="instead of"):
            typed(value, kind)


def test_texts_are_a_list():
    """One text is a list of one; none, and what is no text, are refused."""
    assert (texts_of("a"), texts_of(["a", ""])) == (["a"], ["a", ""])
    with pytest.raises(ValueError, match="no text"):
        texts_of([])
    for value in (None, 1, ["a", 1], {"a": 1}, [["a"]]):
        with pytest.raises(TypeError):
            texts_of(value)

"""From a caller's bytes to a checked request."""

import json
import threading
from typing import Annotated, Any

import pytest

from mealkit.errors import RequestError
from mealkit.runtime.api.reading import (
    MAX_DEPTH,
    WHOLE,
    RefusedParameter,
    Request,
    body_of,
    is_unicode,
    read_object,
    read_request,
)


class Inner(Request):
    """An object in a request."""

    size: Annotated[int, WHOLE]


class Sample(Request):
    """A request."""

    name: str
    count: Annotated[int, WHOLE] | None = None
    share: float = 0.5
    inner: list[Inner] | Inner | None = None


def refusal(call, *arguments):
    with pytest.raises(RequestError) as caught:
        call(*arguments)
    (problem,) = caught.value.problems
    return problem


def refused(call, *arguments):
    problem = refusal(call, *arguments)
    return problem.code, problem.where


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", None),
        (b"[]", None),
        (b"null", None),
        (b'{"a": 1} x', None),
        (b'{"a": NaN}', None),
        (b'{"a": "\xff"}', None),
        (b'{"a": 1, "a": 2}', "a"),
        (b'{"a": {"b": 1, "b": 2}}', "b"),
        (b'{"' + b"a" * 5000 + b'": 1, "' + b"a" * 5000 + b'": 1}', "a" * 200),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", None),
        (b'{"a": [' + b"1," * 200_000 + b"1]}", None),
    ],
    ids=range(11),
)
def test_what_is_no_object_is_refused(body, where):
    """Broken JSON, a name given twice, too deep, or too many values."""
    assert refused(read_object, body) == ("REQUEST_INVALID", where)


def test_an_object_is_read_as_it_is():
    """A byte order mark, blanks and half of a surrogate pair pass."""
    assert read_object(b'\xef\xbb\xbf {"a": [1.0, null, "\\ud800"]} ') == {
        "a": [1.0, None, "\ud800"]
    }


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({}, "REQUEST_INVALID", "name"),
        ({"name": None}, "REQUEST_INVALID", "name"),
        ({"name": 1}, "REQUEST_INVALID", "name"),
        ({"name": "a", "count": True}, "REQUEST_INVALID", "count"),
        ({"name": "a", "count": 1.5}, "REQUEST_INVALID", "count"),
        ({"name": "a", "count": "1"}, "REQUEST_INVALID", "count"),
        ({"name": "a", "share": float("inf")}, "REQUEST_INVALID", "share"),
        ({"name": "a", "other": 1}, "REQUEST_UNSUPPORTED", "other"),
        ({"name": "a", "x" * 5000: 1}, "REQUEST_UNSUPPORTED", "x" * 200),
        ({"name": "a", "inner": {"size": "x"}}, "REQUEST_INVALID", "inner.size"),
        ({"name": "a", "inner": [{"size": 1}, {}]}, "REQUEST_INVALID", "inner[1].size"),
        ({"name": "a", "inner": [{"size": 1, "y": 2}]}, "REQUEST_UNSUPPORTED", "inner[0].y"),
        ({f"x{number}": 1 for number in range(65)}, "REQUEST_INVALID", None),
    ],
    ids=range(13),
)
def test_a_mistake_is_named_by_its_place(values, code, where):
    """The path is the caller's own, without the names of a union's alternatives."""
    assert refused(read_request, Sample, values, {}) == (code, where)


def test_whole_numbers_and_null():
    """1.0 is a whole number, and null is what leaving out means."""
    found = read_request(Sample, {"name": "a", "count": 1.0, "inner": None}, {})
    assert (found.count, found.inner, found.share) == (1, None, 0.5)


def test_parameters_of_other_apis():
    """One that others know is refused with its reason, unless its value asks for nothing."""
    refusals = {"store": RefusedParameter("nothing is kept", (False, 0), "leave it out")}
    for value in (None, False, 0):
        read_request(Sample, {"name": "a", "store": value}, refusals)
    for other in (True, "", 0.0):
        problem = refusal(read_request, Sample, {"name": "a", "store": other}, refusals)
        assert (problem.code, problem.where) == ("REQUEST_UNSUPPORTED", "store")
        assert (problem.hint, "nothing is kept" in problem.message) == ("leave it out", True)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"a": "\ud800"}, "a"),
        ({"a": [{"b": "x"}, {"b": "\udfff"}]}, "a[1].b"),
        ({"a": {"\ud800": 1}}, "a"),
    ],
)
def test_half_of_a_pair_is_named_by_its_place(values, where):
    """It cannot be written for the worker."""
    assert refused(body_of, values) == ("REQUEST_INVALID", where)


def test_a_body_is_the_same_from_every_thread():
    """What a thread writes piece by piece is what the main thread writes at once."""
    values: dict[str, Any] = {"text": "é😀\n", "list": [1, 1.5, None, True], "empty": {}}
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(body_of(values)))
    thread.start()
    thread.join()
    assert found == [body_of(values)]
    assert json.loads(found[0]) == values
    assert "é😀".encode() in found[0]


def test_text_that_can_be_written():
    """Whole pairs can, halves cannot."""
    assert [is_unicode(text) for text in ("", "a", "é😀", "\ud83d", "a\udc00")] == [
        *(True, True, True),
        *(False, False),
    ]


def test_unknown_nulls_are_left_out():
    """Null means that a parameter is left out, whether it is known or not; at any depth."""
    values = {"name": "n", "other": None, "inner": {"size": 1, "other": None}}
    read = read_request(Sample, values, {})
    assert read == Sample(name="n", inner=Inner(size=1))
    assert refused(read_request, Sample, {"name": None, "other": None}, {}) == (
        "REQUEST_INVALID",
        "name",
    )
    assert refused(read_request, Sample, {"name": "n", "other": 0}, {}) == (
        "REQUEST_UNSUPPORTED",
        "other",
    )


def test_every_mistake_is_told_at_once():
    """Each with its place and what was probably meant; of a union, the one that was intended."""
    values = {"nmae": "a", "count": True, "inner": [{"sise": 1}, {"size": "x"}], "store": 1}
    refusals = {"store": RefusedParameter("nothing is kept")}
    with pytest.raises(RequestError) as caught:
        read_request(Sample, values, refusals)
    found = [(item.code, item.where, item.hint) for item in caught.value.problems]
    other = "Otherwise leave the parameter out"
    assert found == [
        ("REQUEST_UNSUPPORTED", "store", "leave the parameter out"),
        ("REQUEST_INVALID", "name", "correct the field that is named"),
        ("REQUEST_INVALID", "count", "correct the field that is named"),
        ("REQUEST_INVALID", "inner[0].size", "correct the field that is named"),
        ("REQUEST_UNSUPPORTED", "inner[0].sise", f"did you mean 'size'? {other}"),
        ("REQUEST_INVALID", "inner[1].size", "correct the field that is named"),
        ("REQUEST_UNSUPPORTED", "nmae", f"did you mean 'name'? {other}"),
    ]

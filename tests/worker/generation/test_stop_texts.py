"""The text of an answer does not depend on how it came in pieces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mealkit.worker.generation.stop_texts import Pieces

texts = some.text(some.sampled_from("abäЖ日🍲\n"), max_size=30)


def put_together(pieces, stop):
    """Return everything that is given, piece by piece."""
    found = Pieces(stop)
    given_texts = []
    for piece in pieces:
        given_texts.append(found.feed(piece))
        assert found.given_characters == len("".join(given_texts))
        if found.stopped_by:
            return given_texts
    return [*given_texts, found.end()]


@some.composite
def cut_up(draw, text):
    """Return bytes in pieces, cut anywhere, also within characters."""
    content = text.encode()
    cuts = sorted(draw(some.lists(some.integers(0, len(content)), max_size=12)))
    return [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]


@given(some.data(), texts)
def test_without_a_stop_text_nothing_is_lost(data, text):
    """All characters come, each as soon as it is whole."""
    pieces = data.draw(cut_up(text))
    found = put_together(pieces, [])
    assert "".join(found) == text
    for place in range(len(pieces)):
        whole = b"".join(pieces[: place + 1]).decode(errors="ignore")
        assert "".join(found[: place + 1]) == whole


@given(some.data(), texts, some.lists(texts.filter(bool), max_size=3))
def test_a_stop_text_cuts_wherever_it_falls(data, text, stop):
    """The answer ends before the stop text that is complete first, however the text was cut up."""
    ends = {text.find(item) + len(item) for item in stop if item in text}
    cut = text
    if ends:
        first = min(ends)
        cut = min(text[:first].removesuffix(item) for item in stop if text[:first].endswith(item))
    assert "".join(put_together(data.draw(cut_up(text)), stop)) == cut


def test_nothing_of_a_stop_text_is_given_early():
    """What could become a stop text waits, and comes if it does not."""
    pieces = Pieces(["</s>"])
    assert [pieces.feed(item) for item in (b"a<", b"/", b"x<", b"/s", b">b")] == [
        "a",
        "",
        "</x",
        "",
        "",
    ]
    assert pieces.stopped_by


def test_half_a_character_is_never_given():
    """An answer that is cut within a character ends before it."""
    pieces = Pieces([])
    assert [pieces.feed(bytes([byte])) for byte in "🍲".encode()] == ["", "", "", "🍲"]
    assert pieces.feed("🍲".encode()[:3]) == ""
    assert pieces.end() == ""


@pytest.mark.parametrize("broken", [b"\xff", b"a\xc3(", b"\xf0\x9f\x8d(", b"\xed\xa0\x80"])
def test_bytes_that_are_no_text_are_replaced(broken):
    """They become U+FFFD, as Unicode recommends, and the rest is kept."""
    assert re.search("\ufffd", "".join(put_together([broken, b"x"], []))[:-1])

"""The loop of one answer: where it ends, and what is told of its tokens."""

import itertools

import numpy as np
import pytest
from worker.generation.scripted import ScriptedModel, sampling

from mealkit.worker.generation.decoding import Assignment, written
from mealkit.worker.generation_values import Finished, Written
from mealkit.worker.interface import never


def decode(*script, alternatives=None, constraint=None, is_cancelled=never, **fields):
    model = ScriptedModel(script)
    assignment = Assignment([1], sampling(**fields), 3, alternatives, constraint, is_cancelled)
    return model, list(written(model, assignment, model.begin([1])))


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, Written))


@pytest.mark.parametrize(
    ("script", "fields", "text", "reason", "tokens"),
    [
        ((), {}, "", "stop", 1),
        ((b"a", b"b"), {}, "ab", "stop", 3),
        ((b"a", b"b"), {"max_tokens": 2}, "ab", "length", 2),
        ((b"a", b"b"), {"max_tokens": 3}, "ab", "stop", 3),
        ((b"a", b"END", b"b"), {"stop": ("END",)}, "a", "stop", 2),
        ((b"a", b"EN", b"d"), {"stop": ("END",)}, "aENd", "stop", 4),
        ((b"a", b"END"), {"stop": ("END",), "max_tokens": 2}, "a", "stop", 2),
        ((b"\xc3", b"\xa9"), {}, "é", "stop", 3),
        ((b"a", b"\xc3"), {"max_tokens": 2}, "a", "length", 2),
    ],
    ids=range(9),
)
def test_an_answer_ends_for_a_reason(script, fields, text, reason, tokens):
    """The end token is counted and has no text, and half a character at the end is none."""
    _, events = decode(*script, **fields)
    assert text_of(events) == text
    assert events[-1] == Finished(3, reason, tokens)


def test_no_token_is_computed_for_nobody():
    """A caller that goes gets no end."""
    for after in range(3):
        asked = itertools.count()
        model, events = decode(
            b"a", b"b", b"c", is_cancelled=lambda asked=asked, after=after: next(asked) >= after
        )
        assert text_of(events) == "abc"[:after]
        assert not any(isinstance(event, Finished) for event in events)
        assert model.count == after


def test_the_last_token_needs_no_further_logits():
    """Reaching the length ends the work at once."""
    model, _ = decode(b"a", b"b", b"c", max_tokens=2)
    assert model.count == 1


class Only:
    """A constraint that allows one byte, and notes what came."""

    def __init__(self, model_size):
        self.came = []
        self.flags = np.zeros(model_size, np.bool_)
        self.flags[ord("z")] = True

    def allowed(self):
        return self.flags

    def repeats_name(self, _token_id):
        return False

    def accept(self, token_id):
        self.came.append(token_id)


def test_a_constraint_is_obeyed_and_told():
    """The model's own choice does not count against it."""
    constraint = Only(ScriptedModel((b"a", b"b")).vocabulary_size)
    _, events = decode(b"a", b"b", constraint=constraint, max_tokens=3)
    assert text_of(events) == "zzz"
    assert constraint.came == [ord("z")] * 2


@pytest.mark.parametrize("alternatives", [0, 2])
def test_likelihoods_are_of_the_models_own_distribution(alternatives):
    """Biases do not change them, and each comes with its text."""
    _, events = decode(b"a", b"b", alternatives=alternatives, logit_bias={ord("x"): 100.0})
    (first, *_) = [event for event in events if isinstance(event, Written)]
    (token,) = first.tokens
    assert (token.chosen.piece, first.text) == (b"x", "x")
    assert token.chosen.logprob < -9
    assert len(token.alternatives) == alternatives
    assert [other.piece for other in token.alternatives][:1] == [b"a"][:alternatives]


def test_likelihoods_of_held_back_text_are_told_at_the_end():
    """No token is lost, though its bytes were no character yet."""
    _, events = decode(b"a", b"\xc3", alternatives=0, max_tokens=2)
    pieces = [
        token.chosen.piece
        for event in events
        if isinstance(event, Written)
        for token in event.tokens
    ]
    assert pieces == [b"a", b"\xc3"]

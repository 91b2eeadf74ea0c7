"""A question to a kit of any task, and the files in its answer."""

import json

import pytest
from fakes.answering_kit import answering_kit, lock_of

from mealkit.acceptance.target import Target
from mealkit.errors import MealkitError
from mealkit.pipeline.ask.embedding_texts import embed, similarities
from mealkit.pipeline.ask.kit_answers import AskedKit
from mealkit.pipeline.ask.predicting import files_of, inputs_of, predict, without_files
from mealkit.recipe.kit import Contact, Task

OWNER = Contact(team="soup", contact="mailto:soup@example.org", support="Mondays.")


@pytest.fixture
def asked():
    """A running kit of a task, and what asks it."""

    def of(task):
        running = stack.enter_context(answering_kit(lock_of(task)))
        asked = stack.enter_context(AskedKit(Target(running.address), 10, OWNER))
        return running, asked

    from contextlib import ExitStack  # noqa: PLC0415

    with ExitStack() as stack:
        yield of


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ('{"text": "b a"}', ()),
        (None, ("text=b a",)),
        ('{"text": "c"}', ("text=b a",)),
        ('{"model": "kit", "input": {"text": "b a"}}', ()),
    ],
)
def test_inputs_reach_the_papers_code(asked, text, fields):
    """As JSON, as fields, which come on top, or as the body of the API's example."""
    running, kit = asked(Task.PREDICTION)
    answer = predict(kit, inputs_of(text, fields))
    assert answer.output == {"words": ["a", "b"], "count": 1.5}
    assert answer.recipe == running.recipe
    assert running.asked[-1][1] == {"model": kit.model, "input": {"text": "b a"}}


def test_a_kit_of_another_task_gets_the_fields_of_its_request(asked):
    """A reranker its query and documents."""
    _, kit = asked(Task.RERANKING)
    given = inputs_of(None, ("query=a", "documents=b", "documents=a a"))
    assert predict(kit, given).output["results"][0] == {"index": 1, "relevance_score": 2.0}


def test_pieces_are_passed_on_as_they_come(asked):
    """If the kit streams; the answer has all of them."""
    running, kit = asked(Task.PREDICTION)
    request = running.description["components"]["schemas"]["Request"]
    request["properties"]["stream"] = {"type": "boolean"}
    running.answer = lambda *_: (
        200,
        {},
        iter([b'{"output": 1}', b'{"output": 2}', b"[DONE]"]),
    )
    heard = []
    assert predict(kit, inputs_of('{"text": "a"}', ()), heard.append).output == [1, 2]
    assert heard == [1, 2]
    assert running.asked[-1][1]["stream"] is True


@pytest.mark.parametrize("text", ["[1]", "{", "3", '{"a": 1, "a": 2}'])
def test_inputs_that_are_no_object_are_refused_before_anything_starts(text):
    """As a wrong command line."""
    with pytest.raises(MealkitError, match="not a JSON object") as raised:
        inputs_of(text, ())
    assert raised.value.exit_code == 2


def test_inputs_that_are_missing_are_named_as_they_are_written(asked):
    """All at once, with the option that gives them; the kit is not asked."""
    running, kit = asked(Task.PREDICTION)
    running.answer = lambda *_: pytest.fail("the kit was asked")
    with pytest.raises(MealkitError) as raised:
        predict(kit, inputs_of(None, ()))
    (found,) = raised.value.problems
    assert (found.code, found.where) == ("REQUEST_INVALID", "-i text")
    assert found.hint.startswith("give it: -i text=VALUE")


def test_a_refusal_is_the_kits_own_problem(asked):
    """With code, place, owner and hint; several at once; the author's with the contact."""
    running, kit = asked(Task.PREDICTION)
    second = {"code": "REQUEST_INVALID", "message": "top: too small", "where": "input.top"}
    first = {"code": "REQUEST_INVALID", "message": "text: missing", "where": "input.text"}
    running.answer = lambda *_: {"error": {**first, "problems": [first, second]}}
    with pytest.raises(MealkitError) as raised:
        predict(kit, inputs_of('{"text": "a"}', ()))
    assert [item.where for item in raised.value.problems] == ["input.text", "input.top"]
    assert raised.value.exit_code == 12
    failed = {"mealkit_code": "HANDLER_FAILED", "code": "x", "message": "KeyError at handler.py:3"}
    running.answer = lambda *_: (500, {}, {"error": failed})
    with pytest.raises(MealkitError) as raised:
        predict(kit, inputs_of('{"text": "a"}', ()))
    (found,) = raised.value.problems
    assert (found.code, found.owner, found.contact.team) == ("HANDLER_FAILED", "kit-author", "soup")


@pytest.mark.parametrize(
    ("answered", "code"),
    [
        ((500, {}, b"<html>"), "TEST_NOT_A_KIT"),
        ((500, {}, {"error": {"code": "UNKNOWN_TO_US", "message": "x"}}), "TEST_NOT_A_KIT"),
        ((200, {}, b"not JSON"), "TEST_NOT_A_KIT"),
        ((401, {}, {"error": {"code": "REQUEST_KEY", "message": "no key"}}), "TEST_KEY"),
        ((200, {"Content-Length": "500"}, b"{}"), "TEST_UNREACHABLE"),
    ],
)
def test_an_answer_of_another_kind_is_a_problem(asked, answered, code):
    """Of what does not speak as a kit, of a missing key, and of an answer that is cut off."""
    running, kit = asked(Task.PREDICTION)
    running.answer = lambda *_: answered
    with pytest.raises(MealkitError) as raised:
        predict(kit, inputs_of('{"text": "a"}', ()))
    assert raised.value.problems[0].code == code


def test_texts_have_vectors_and_similarities(asked):
    """A text is as similar to itself as can be."""
    _, kit = asked(Task.EMBEDDINGS)
    found = embed(kit, ["aa", "bb"], None)
    assert found.vectors[0] == (2.125, 0.125, 0.125)
    compared = similarities(found)
    assert compared[0][0] == pytest.approx(1)
    assert compared[0][1] == compared[1][0] < 1


def test_files_are_found_wherever_they_are():
    """In order; for people their place has a short text, and other texts stay."""
    output = {"a": ["data:text/plain;base64,aGk=", "data:,not base64"], "b": "text"}
    (found,) = files_of(output)
    assert (found.media_type, found.data) == ("text/plain", b"hi")
    shown = json.dumps(without_files(output))
    assert "a file (text/plain, 2 bytes)" in shown
    assert "data:,not base64" in shown


def test_bytes_of_the_command_line_that_are_not_utf8_are_its_wrong_use(asked):
    """In JSON, and in a field: they are refused, neither replaced nor a crash."""
    for text, fields in (('{"text": "a\udcff"}', ()), (None, ("text=a\udcff",))):
        with pytest.raises(MealkitError) as caught:
            predict(asked(Task.PREDICTION)[1], inputs_of(text, fields))
        assert caught.value.problems[0].code == "USAGE"

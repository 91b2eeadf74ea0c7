"""The Responses API over HTTP, called by OpenAI's own client, unmodified."""

import openai
import pytest

from mealkit.recipe.kit import Feature

MODEL = "stand-in"


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    return start_shared(make_api_lock(features=frozenset(Feature))).wait_ready()


@pytest.fixture
def client(kit):
    with openai.OpenAI(base_url=f"{kit.client.base_url}/v1", api_key="any", max_retries=0) as found:
        yield found


def test_whole(kit, client):
    """A whole answer has its text, its usage, the headers of a chat, and counts as a chat."""
    raw = client.responses.with_raw_response.create(model=MODEL, input="hello world")
    answer = raw.parse()
    assert (answer.output_text, answer.status) == ("HELLO WORLD ", "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2, 2)
    assert raw.headers["x-mealkit-seed"] == "7"
    assert raw.headers["x-mealkit-recipe"].startswith("sha256:")
    assert 'gen_ai_operation_name="chat"' in kit.client.get("/metrics").text


def test_streamed(client):
    """A stream has the same answer, by the client's own gathering, too."""
    whole = client.responses.create(model=MODEL, input="hello world")
    with client.responses.create(model=MODEL, input="hello world", stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(pieces) == whole.output_text
    assert events[-1].response.usage == whole.usage
    with client.responses.stream(model=MODEL, input="hello world") as gathered:
        gathered.until_done()
        assert gathered.get_final_response().output_text == whole.output_text


def test_turns(client):
    """The output of an answer is input of the next request, as it is."""
    turns = [{"role": "user", "content": "hello"}]
    answer = client.responses.create(model=MODEL, input=turns)
    turns += [*answer.output, {"role": "user", "content": "again"}]
    assert client.responses.create(model=MODEL, input=turns).output_text == "AGAIN "
    with pytest.raises(openai.BadRequestError, match="stores nothing") as refused:
        client.responses.create(model=MODEL, input="again", previous_response_id=answer.id)
    assert refused.value.param == "previous_response_id"


@pytest.mark.parametrize(
    ("asked", "kind", "code", "param"),
    [
        ({"temperature": 0.5}, openai.BadRequestError, "REQUEST_UNSUPPORTED", "temperature"),
        ({"model": "other"}, openai.NotFoundError, "REQUEST_MODEL", "model"),
        ({"input": []}, openai.BadRequestError, "REQUEST_INVALID", "input"),
        ({"input": "refuse"}, openai.APIStatusError, "context_length_exceeded", None),
        ({"input": "garbage"}, openai.InternalServerError, "ENGINE_ANSWER", None),
    ],
)
def test_errors(client, asked, kind, code, param):
    """A refusal is the client's own exception, in a stream before it begins, too."""
    for stream in (False, True):
        if asked.get("input") == "garbage" and stream:
            continue
        with pytest.raises(kind) as caught:
            client.responses.create(**{"model": MODEL, "input": "hello", **asked}, stream=stream)
        assert (caught.value.code, caught.value.param) == (code, param)


def test_error_within_a_stream(kit, client):
    """An error after the first piece is raised by the client; the failed response comes behind it."""
    pieces = []
    with (
        client.responses.create(model=MODEL, input="error:2", stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        pieces.extend(stream)
    assert caught.value.code == "ENGINE_OUT_OF_MEMORY"
    assert len(pieces) == 6
    asked = {"model": MODEL, "input": "error:2", "stream": True}
    text = kit.client.post("/v1/responses", json=asked).text
    assert "event: response.failed\n" in text
    assert "no memory is left" in text


def test_a_stream_that_is_left(kit, client, tmp_path):
    """When the client closes a stream, the engine stops."""
    gone = tmp_path / "gone"
    with client.responses.create(model=MODEL, input=f"gone:{gone}", stream=True) as stream:
        next(iter(stream))
    kit.wait_for(gone.exists)

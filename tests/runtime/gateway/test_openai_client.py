"""OpenAI's own client, unmodified, against a kit."""

import asyncio
import inspect

import openai
import pytest

from mealkit.errors import RequestError
from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.served_model import ServedModel

MODEL = "stand-in"
HELLO = [{"role": "user", "content": "hello world"}]

# Parameters of the client's methods that are not part of a request.
NOT_SENT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}


def client_of(kit, kind=openai.OpenAI):
    return kind(base_url=f"{kit.client.base_url}/v1", api_key="any", max_retries=0)


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    """A kit for all tests: none of them leaves a trace in it."""
    return start_shared(make_api_lock(features=frozenset(Feature))).wait_ready()


@pytest.fixture
def client(kit):
    with client_of(kit) as found:
        yield found


def test_chat(client):
    """A whole answer is the client's own type, with usage."""
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == "HELLO WORLD "
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (2, 2)


def test_headers(client):
    """The recipe, the seed and the request's id are in the headers."""
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    assert raw.headers["x-mealkit-recipe"].startswith("sha256:")
    assert raw.headers["x-mealkit-seed"] == "7"
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_stream(client):
    """Pieces come one by one, and with them the tokens, if they are asked for."""
    options = {"include_usage": True}
    with client.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, stream_options=options
    ) as stream:
        chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == "HELLO WORLD "
    assert chunks[-1].usage.completion_tokens == 2


def test_helper_that_gathers_a_stream(client):
    """The client's own gathering of a stream gives the whole answer."""
    with client.chat.completions.stream(model=MODEL, messages=HELLO) as stream:
        for _ in stream:
            pass
        answer = stream.get_final_completion()
    assert answer.choices[0].message.content == "HELLO WORLD "


def test_completions(client):
    """Going on with a text, whole and streamed."""
    assert client.completions.create(model=MODEL, prompt="a b").choices[0].text == "A B "
    with client.completions.create(model=MODEL, prompt="a b", stream=True) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == "A B "


def test_async(kit):
    """The asynchronous client, whole and streamed."""

    async def talk():
        async with client_of(kit, openai.AsyncOpenAI) as client:
            create = client.chat.completions.create
            whole = await create(model=MODEL, messages=HELLO)
            async with await create(model=MODEL, messages=HELLO, stream=True) as stream:
                pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return whole.choices[0].message.content, "".join(pieces)

    assert asyncio.run(talk()) == ("HELLO WORLD ", "HELLO WORLD ")


def test_embeddings(start, make_api_lock):
    """The client asks for base64 by itself where it can, and for numbers if told to."""
    kit = start(make_api_lock(Task.EMBEDDINGS, worker="standin_worker:StandIn")).wait_ready()
    with client_of(kit) as client:
        for form in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
            answer = client.embeddings.create(model=MODEL, input=["a", "b c"], **form)
            assert len(answer.data) == 2
        numbers = client.embeddings.create(model=MODEL, input=["b c"]).data[0].embedding
    assert list(numbers) == [3.0, 0.5, 0.25, -1.0]


def test_models(client):
    """The one model is listed and found."""
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).owned_by == "authors"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other")


def test_several_turns(client):
    """The answer goes back as it came: as an object, as all of its fields, and as those set."""
    messages = list(HELLO)
    for form in (lambda said: said, lambda said: said.model_dump(), lambda said: said.to_dict()):
        answer = client.chat.completions.create(model=MODEL, messages=messages)
        messages += [form(answer.choices[0].message), {"role": "user", "content": "and then?"}]
    assert len(messages) == len(HELLO) + 6
    assert client.chat.completions.create(model=MODEL, messages=messages).choices


@pytest.mark.parametrize(
    ("values", "kind", "code", "param"),
    [
        ({"temperature": 0.5}, openai.BadRequestError, "REQUEST_UNSUPPORTED", "temperature"),
        ({"model": "other"}, openai.NotFoundError, "REQUEST_MODEL", "model"),
        ({"messages": []}, openai.BadRequestError, "REQUEST_INVALID", "messages"),
        (
            {"messages": [{"role": "user", "content": "refuse"}]},
            openai.BadRequestError,
            "context_length_exceeded",
            None,
        ),
        (
            {"messages": [{"role": "user", "content": "garbage"}]},
            openai.InternalServerError,
            "ENGINE_ANSWER",
            None,
        ),
    ],
)
def test_errors(client, values, kind, code, param):
    """A refusal is the client's own exception, with code, parameter, owner and request id."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": MODEL, "messages": HELLO, **values})
    error = caught.value
    assert (error.code, error.param) == (code, param)
    assert error.body["owner"] in {"caller", "kit-author"}
    assert error.request_id == error.body["request_id"]


def test_error_within_a_stream(client):
    """An error after the first piece is raised by the client, with its code."""
    messages = [{"role": "user", "content": "error:2"}]
    pieces = []
    create = client.chat.completions.create
    with (
        create(model=MODEL, messages=messages, stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        pieces.extend(stream)
    assert caught.value.code == "ENGINE_OUT_OF_MEMORY"
    assert len(pieces) == 3


def test_stream_that_is_left(kit, client, tmp_path):
    """When the client closes a stream, the engine stops."""
    gone = tmp_path / "gone"
    messages = [{"role": "user", "content": f"gone:{gone}"}]
    with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
        next(iter(stream))
    kit.wait_for(gone.exists)


# A value of each parameter that asks for something; the engine must be told it.
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
FORM = {"type": "json_schema", "json_schema": {"name": "f", "schema": {"type": "object"}}}
SAMPLING = {
    "frequency_penalty": 0.5,
    "logit_bias": {"5": 1.0},
    "max_tokens": 5,
    "n": 2,
    "presence_penalty": 0.5,
    "seed": 8,
    "stop": ["x"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.5,
}
HONOURED = {
    CHAT: SAMPLING
    | {
        "logprobs": True,
        "max_completion_tokens": 5,
        "messages": [{"role": "user", "content": "other"}],
        "parallel_tool_calls": False,
        "response_format": FORM,
        "tool_choice": "required",
        "tools": [TOOL],
        "top_logprobs": 2,
    },
    COMPLETIONS: SAMPLING | {"logprobs": 1, "prompt": "other"},
    EMBEDDINGS: {"input": "other", "encoding_format": "base64"},
}
# Taken, and nothing else is possible: the name of the one model, the length of its vectors, and
# what never changes an answer: marks of the caller's own, and hints for caches.
TAKEN = {
    "model": MODEL,
    "dimensions": 4,
    "user": "u",
    "safety_identifier": "s",
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "x"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit"},
    "prompt_cache_retention": "24h",
    "service_tier": "priority",
    "store": True,
}
PENALTIES = ("frequency_penalty", "presence_penalty")
# What a parameter needs beside it.
BESIDE = {
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL]},
    "stream_options": {"stream": True},
}
NEEDED = {
    CHAT: {"messages": HELLO},
    COMPLETIONS: {"prompt": "hello"},
    EMBEDDINGS: {"input": "hello"},
}


def every_parameter():
    """Every parameter of the client's methods: a newer client may bring new ones."""
    with openai.OpenAI(api_key="any", base_url="http://127.0.0.1:1") as client:
        methods = {
            CHAT: client.chat.completions.create,
            COMPLETIONS: client.completions.create,
            EMBEDDINGS: client.embeddings.create,
        }
    return [
        pytest.param(endpoint, name, id=f"{endpoint.operation}-{name}")
        for endpoint, method in methods.items()
        for name in inspect.signature(method).parameters
        if name not in NOT_SENT
    ]


@pytest.mark.parametrize(("endpoint", "name"), every_parameter())
def test_nothing_is_ignored(make_api_lock, endpoint, name):
    """Each parameter that the client knows is passed on to the engine, or refused by its name."""
    task = Task.EMBEDDINGS if endpoint is EMBEDDINGS else Task.GENERATION
    overrides = {key: {} for key in ("temperature", "top_p", "seed", *PENALTIES)}
    offer = ServedModel.of(make_api_lock(task, features=frozenset(Feature), overrides=overrides))
    offer.dimensions = 4
    values = {"model": MODEL, **NEEDED[endpoint], **BESIDE.get(name, {})}
    known = HONOURED[endpoint] | TAKEN
    if name in known:
        plain = endpoint.prepare(dict(values), offer)
        asked = endpoint.prepare({**values, name: known[name]}, offer)
        assert (asked != plain) == (name not in TAKEN)
        return
    with pytest.raises(RequestError, match=name) as caught:
        endpoint.prepare({**values, name: "anything"}, offer)
    assert caught.value.problems[0].where == name

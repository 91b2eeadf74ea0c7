"""Clients as they are published, against containers: OpenAI's, and LangChain's and LlamaIndex's adapters.

The adapters are told what keeps them off the network: LangChain's counts tokens with a table that
it fetches, unless ``check_embedding_ctx_length`` is off.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pydantic
import pytest
from engines.numpy_llama import NumpyLlama
from fakes.clients import call
from fakes.served import ROOT, Demo, cosine, golden

from mealkit.pipeline.home import Home
from mealkit.pipeline.run.running import RunReport

KIT = ROOT / "kits" / "tiny-chat-llama-cpp"
MODEL = ROOT / "kits" / "tiny-llama"
NAME, MINILM = "tiny-llama", "all-MiniLM-L6-v2"

QUESTION = [{"role": "user", "content": "What does join do?"}]
# What the kit's README says that it answers.
ANSWER = "Return the currently selected in the given position."
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
OTHERS = ["What does open do?", "What does sleep do?", "Is 'ä' 🍲 a letter?"]

pytestmark = [pytest.mark.docker, pytest.mark.online]
chat = pytest.mark.xdist_group("tiny-chat")
embeddings = pytest.mark.xdist_group("demo")


class Call(pydantic.BaseModel):
    """What an answer shall be."""

    kind: Literal["function", "method", "class"]
    returns: bool
    arguments: Literal[0, 1, 2]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the chat kit beside a copy of its model."""
    if not list(KIT.glob("wheels/llama_cpp_python-*.whl")):
        pytest.skip("the llama-cpp wheel is not compiled: make .engines/llama-cpp/.ready")
    folder = tmp_path_factory.mktemp("clients")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name, ignore=shutil.ignore_patterns(".wheel-build"))
    return folder / KIT.name


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Home:
    """A home that has fetched what it needs before, and built nothing."""
    made: Home = home_with_files(tmp_path_factory.mktemp("clients-home") / "home")
    return made


@pytest.fixture(scope="module")
def running(kit: Path, home: Home, serve) -> RunReport:
    """The running chat kit."""
    report: RunReport = serve(kit, home, "docker", allowed=(kit.parent / MODEL.name,))
    return report


@pytest.fixture
def chat_url(running: RunReport) -> str:
    return running.url


@pytest.fixture(scope="module")
def minilm_url(demo: Demo, serve) -> str:
    """The running embedding kit."""
    return serve(demo.kit, demo.home, "docker").url


def client_at(url: str, kind: Any = openai.OpenAI, key: str = "any") -> Any:
    return kind(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture
def client(chat_url: str) -> Iterator[openai.OpenAI]:
    """The official client of the chat kit."""
    with client_at(chat_url) as found:
        yield found


def text_of(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@chat
def test_a_chat(client):
    """The answer is the README's, with what it cost, which recipe gave it, and with which seed."""
    raw = client.chat.completions.with_raw_response.create(model=NAME, messages=QUESTION)
    answer = raw.parse()
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert raw.headers["x-mealkit-recipe"].startswith("sha256:")
    assert raw.headers["x-mealkit-seed"] == "7"
    assert [model.id for model in client.models.list()] == [NAME]


@chat
def test_a_stream_is_the_same_answer(client):
    """Piece by piece the same text, the same usage."""
    create = client.chat.completions.create
    whole = create(model=NAME, messages=QUESTION)
    options = {"include_usage": True}
    with create(model=NAME, messages=QUESTION, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    assert text_of(chunks) == ANSWER
    assert len(chunks) > 5
    assert chunks[-1].usage == whole.usage
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"


@chat
def test_many_at_once(chat_url, client):
    """The asynchronous client's calls at the same time give what one after the other gives."""
    drawn = {"model": NAME, "temperature": 1.0, "seed": 3, "max_tokens": 24}
    questions = [[{"role": "user", "content": text}] for text in OTHERS]
    one_by_one = [
        client.chat.completions.create(messages=question, **drawn).choices[0].message.content
        for question in questions
    ]
    assert len(set(one_by_one)) == len(OTHERS)

    async def ask(caller: Any, question: Any) -> tuple[str, str]:
        create = caller.chat.completions.create
        whole = await create(messages=question, **drawn)
        async with await create(messages=question, stream=True, **drawn) as stream:
            chunks = [chunk async for chunk in stream]
        return whole.choices[0].message.content, text_of(chunks)

    async def ask_all() -> list[tuple[str, str]]:
        async with client_at(chat_url, openai.AsyncOpenAI) as caller:
            return await asyncio.gather(*(ask(caller, question) for question in questions))

    assert asyncio.run(ask_all()) == [(text, text) for text in one_by_one]


@chat
def test_completions(client):
    """A text is gone on with, whole and streamed; its log probabilities come with it."""
    asked = {"model": NAME, "prompt": "Return the", "max_tokens": 8}
    whole = client.completions.create(logprobs=1, **asked)
    found = whole.choices[0]
    assert "".join(found.logprobs.tokens) == found.text
    assert all(value <= 0 for value in found.logprobs.token_logprobs)
    assert whole.usage.completion_tokens <= 8
    with client.completions.create(stream=True, **asked) as stream:
        assert "".join(chunk.choices[0].text for chunk in stream) == found.text


@chat
def test_structured_answers(client):
    """The client's own parsing of an answer into a class, and a schema as it is."""
    answer = client.chat.completions.parse(model=NAME, messages=QUESTION, response_format=Call)
    message = answer.choices[0].message
    assert message.parsed == Call.model_validate_json(message.content)
    again = client.chat.completions.create(
        model=NAME,
        messages=QUESTION,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "call", "schema": Call.model_json_schema()},
        },
    )
    assert again.choices[0].message.content == message.content


@chat
@pytest.mark.parametrize(
    ("values", "kind", "code", "param"),
    [
        ({"temperature": 1.9}, openai.BadRequestError, "REQUEST_UNSUPPORTED", "temperature"),
        ({"top_logprobs": 3}, openai.BadRequestError, "REQUEST_INVALID", "top_logprobs"),
        (
            {"presence_penalty": 1},
            openai.BadRequestError,
            "REQUEST_UNSUPPORTED",
            "presence_penalty",
        ),
        ({"extra_body": {"top_a": 1}}, openai.BadRequestError, "REQUEST_UNSUPPORTED", "top_a"),
        ({"tools": [TOOL]}, openai.BadRequestError, "REQUEST_UNSUPPORTED", "tools"),
        ({"model": "other"}, openai.NotFoundError, "REQUEST_MODEL", "model"),
    ],
)
def test_refusals(client, values, kind, code, param):
    """A refusal is the client's own exception, with our code, who has to act, and the parameter."""
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**{"model": NAME, "messages": QUESTION, **values})
    error = caught.value
    assert (error.code, error.body["owner"]) == (code, "caller")
    assert error.param == param
    assert error.request_id == error.body["request_id"]


@chat
def test_an_overlong_chat(client):
    """Nothing is cut: the tokens and the limit are in the refusal, before a stream begins, too."""
    messages = [{"role": "user", "content": "word " * 600}]
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            client.chat.completions.create(model=NAME, messages=messages, stream=stream)
        assert (caught.value.status_code, caught.value.code) == (400, "context_length_exceeded")
        assert "512" in caught.value.message


@chat
def test_a_stream_that_is_left(running, client, sdk):
    """The engine stops with it, and then answers the next caller."""
    container = sdk.containers.get(running.name)
    # Without the tokens that end an answer, each of the four has its 256 tokens.
    asked = {
        "model": NAME,
        "messages": QUESTION,
        "temperature": 1.5,
        "max_tokens": 256,
        "n": 4,
        "logit_bias": {str(token): -100 for token in NumpyLlama(MODEL).end_ids},
    }
    create = client.chat.completions.create
    begun = processor_seconds(container)
    assert create(**asked).usage.completion_tokens == 4 * 256
    between = processor_seconds(container)
    with create(stream=True, **asked) as stream:
        next(iter(stream))
    # Answers take turns: this one comes when the engine is done with the one before.
    answer = create(model=NAME, messages=QUESTION)
    assert answer.choices[0].message.content == ANSWER
    assert processor_seconds(container) - between < (between - begun) / 2


def processor_seconds(container: Any) -> float:
    """What a container has computed so far, which does not depend on what else runs."""
    usage = container.stats(stream=False, one_shot=True)["cpu_stats"]["cpu_usage"]
    return float(usage["total_usage"]) / 1e9


@chat
def test_keys(kit, home, serve, tmp_path):
    """With a file of keys, made as people make them, only their owners are answered."""
    keys = tmp_path / "keys.txt"
    made = subprocess.run(
        [sys.executable, "-m", "mealkit", "key", "new", "--name", "team-a", "--file", keys],
        check=True,
        capture_output=True,
        text=True,
    )
    key = made.stdout.strip()
    assert key not in keys.read_text()
    url = serve(kit, home, "docker", keys=keys, allowed=(kit.parent / MODEL.name,)).url
    with client_at(url, key=key) as client:
        answer = client.chat.completions.create(model=NAME, messages=QUESTION)
        assert answer.choices[0].message.content == ANSWER
    for wrong in ("any", key[:-1], f"{key}x"):
        with client_at(url, key=wrong) as client, pytest.raises(openai.AuthenticationError) as no:
            client.chat.completions.create(model=NAME, messages=QUESTION)
        assert no.value.body["owner"] == "caller"
        assert wrong not in str(no.value.body)


@chat
@pytest.mark.parametrize("name", ["langchain_chat", "llama_index_chat"])
def test_adapters_chat(chat_url, client, name):
    """Whole and streamed, the adapters give what the kit gives."""
    hello = [{"role": "user", "content": "hello world"}]
    answer = client.chat.completions.create(model=NAME, messages=hello, max_tokens=8)
    found = call(name, chat_url, NAME)
    assert found["whole"] == "".join(found["pieces"]) == answer.choices[0].message.content


@embeddings
def test_embeddings(minilm_url):
    """Vectors are torch's; in base64, which the client asks for by itself, and in numbers."""
    texts = [text for text, _ in golden()]
    with client_at(minilm_url) as client:
        packed = client.embeddings.create(model=MINILM, input=texts)
        plain = client.embeddings.create(model=MINILM, input=texts, encoding_format="float")
        single = client.embeddings.create(model=MINILM, input=texts[0])
    vectors = [list(item.embedding) for item in packed.data]
    for (text, expected), vector in zip(golden(), vectors, strict=True):
        assert cosine(vector, expected) >= 0.99999, text
    for one, other in zip(packed.data, plain.data, strict=True):
        assert list(one.embedding) == pytest.approx(list(other.embedding), abs=1e-7)
    assert list(single.data[0].embedding) == vectors[0]
    assert packed.usage == plain.usage


@embeddings
@pytest.mark.parametrize("name", ["langchain_embeddings", "llama_index_embeddings"])
def test_adapters_embed(minilm_url, name):
    """The adapters get the vectors that the official client gets, alone and in a batch."""
    with client_at(minilm_url) as client:
        made = client.embeddings.create(model=MINILM, input=["hello", "hello", "world"]).data
    found = call(name, minilm_url, MINILM)
    assert len(found) == len(made) == 3
    for vector, item in zip(found, made, strict=True):
        assert vector == pytest.approx(list(item.embedding), abs=1e-7)

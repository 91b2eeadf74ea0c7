"""OpenAI's own client, unmodified, against containers with real models."""

import asyncio
import shutil
import urllib.request
from collections.abc import Iterator

import openai
import pytest
from end_to_end.test_tiny_chat import KIT, MODEL, WHEEL
from fakes.little import Heard
from fakes.served import get, golden

from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs

pytestmark = [pytest.mark.online, pytest.mark.docker, pytest.mark.xdist_group("tiny-chat")]

QUESTION = [{"role": "user", "content": "What does join do?"}]


@pytest.fixture(scope="module")
def chat_url(tmp_path_factory, home_with_files, serve) -> str:
    """The chat kit in a container, built from its committed lock."""
    if not WHEEL.is_file():
        pytest.skip("the llama-cpp wheel is not compiled: make .engines/llama-cpp/.ready")
    folder = tmp_path_factory.mktemp("official")
    shutil.copytree(MODEL, folder / MODEL.name)
    shutil.copytree(KIT, folder / KIT.name, ignore=shutil.ignore_patterns(".wheel-build"))
    home = home_with_files(folder / "home")
    kit, allowed = folder / KIT.name, (folder / MODEL.name,)
    build_kit(kit, frozen=True, outputs=Outputs(), home=home, progress=Heard(), allowed=allowed)
    return serve(kit, home, "docker", allowed=allowed).url


@pytest.fixture
def client(chat_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat_url}/v1", api_key="any", max_retries=0) as found:
        yield found


def said(client: openai.OpenAI, **values) -> str:
    values = {"model": "tiny-llama", "messages": QUESTION, "max_tokens": 24, **values}
    return client.chat.completions.create(**values).choices[0].message.content


def test_whole_and_streamed_are_the_same(client):
    """The same request gives the same text, whole, streamed, asynchronously, and again."""
    whole = said(client)
    assert whole
    with client.chat.completions.create(
        model="tiny-llama", messages=QUESTION, max_tokens=24, stream=True,
        stream_options={"include_usage": True},
    ) as stream:  # fmt: skip
        chunks = list(stream)
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole
    assert len([piece for piece in pieces if piece]) > 1
    assert chunks[-1].usage.completion_tokens <= 24

    async def talk() -> list[str]:
        base = str(client.base_url)
        async with openai.AsyncOpenAI(base_url=base, api_key="any", max_retries=0) as other:
            create = other.chat.completions.create
            values = {"model": "tiny-llama", "messages": QUESTION, "max_tokens": 24}
            answers = await asyncio.gather(*(create(**values) for _ in range(4)))
        return [answer.choices[0].message.content for answer in answers]

    assert asyncio.run(talk()) == [whole] * 4


def test_seed(client):
    """A draw is decided by its seed, which every answer tells."""
    drawn = [said(client, temperature=1.0, seed=seed) for seed in (11, 11, 12)]
    assert drawn[0] == drawn[1] != drawn[2]
    create = client.chat.completions.with_raw_response.create
    raw = create(model="tiny-llama", messages=QUESTION, max_tokens=1, seed=11)
    assert raw.headers["x-mealkit-seed"] == "11"
    assert raw.headers["x-mealkit-recipe"].startswith("sha256:")


def test_errors(client):
    """What the kit refuses is the client's own exception, with code and parameter."""
    with pytest.raises(openai.BadRequestError) as refused:
        said(client, top_p=0.01)
    assert (refused.value.code, refused.value.param) == ("REQUEST_UNSUPPORTED", "top_p")
    with pytest.raises(openai.APIStatusError) as refused:
        said(client, messages=[{"role": "user", "content": "word " * 600}])
    assert (refused.value.status_code, refused.value.code) == (400, "context_length_exceeded")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="tiny-llama", input="a")


def test_stream_that_is_left(client):
    """A stream that is closed half way frees the model: the next answer does not wait for it."""
    whole = said(client)
    for _ in range(10):
        with client.chat.completions.create(
            model="tiny-llama", messages=QUESTION, max_tokens=200, stream=True
        ) as stream:
            next(iter(stream))
    assert said(client) == whole


def test_description_and_page(chat_url):
    """The image has what the page is made of."""
    description, _ = get(f"{chat_url}/openapi.json")
    assert "/v1/chat/completions" in description["paths"]
    with urllib.request.urlopen(f"{chat_url}/docs", timeout=30) as answer:
        assert "tiny-llama" in answer.read().decode()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_embeddings(demo, serve):
    """The client gets torch's vectors from the example kit."""
    cases = golden()
    url = serve(demo.kit, demo.home, "docker").url
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        answer = client.embeddings.create(
            model="all-MiniLM-L6-v2", input=[text for text, _ in cases]
        )
    for item, (_, expected) in zip(answer.data, cases, strict=True):
        assert item.embedding == pytest.approx(expected, abs=1e-5)

"""The first request of a kit: what is asked, and what is learnt from the answer."""

import asyncio
import json

import pytest

from mealkit.errors import MealkitError
from mealkit.recipe.kit import Feature, Task
from mealkit.runtime.gateway.keys import Keys
from mealkit.runtime.gateway.service import Service
from mealkit.runtime.life.warm_up import warm
from mealkit.runtime.settings import read_settings
from mealkit.runtime.state import Lifecycle
from mealkit.runtime.watch.journal import Journal
from mealkit.runtime.watch.metrics import Metrics
from mealkit.runtime.worker_client.pool import Upstream

USAGE = {"prompt_tokens": 1, "total_tokens": 1}
VECTORS = {"data": [{"embedding": [0.5, 0.5, 0.5], "index": 0}], "usage": USAGE}


@pytest.fixture
def warmed(make_api_lock, tmp_path):
    """Warm a kit whose worker gives one answer: ``warmed(answer, task, status, ...)``."""

    def run(answer, task=Task.EMBEDDINGS, status=200, dimensions=None, **changes):
        asked = []

        async def worker(reader, writer):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            asked.append((head.split(b" HTTP")[0].decode(), json.loads(body) if body else None))
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            writer.write(
                b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(data)) + data
            )
            writer.close()

        async def conversation():
            path = tmp_path / "s"
            async with await asyncio.start_unix_server(worker, path):
                lock = make_api_lock(task, **changes)
                settings = read_settings({"MEALKIT_ETC": str(tmp_path), "MEALKIT_AUTH": "off"})
                upstream = Upstream(path)
                service = Service(
                    lock,
                    settings,
                    Keys(settings),
                    Lifecycle(lambda: 0.0),
                    upstream,
                    Metrics(lock.model.name),
                    Journal("error"),
                )
                service.served.dimensions = dimensions
                try:
                    run.untried = await warm(service)
                finally:
                    upstream.close()
                return service.served

        return asyncio.run(conversation()), asked

    return run


def refused(call, *arguments, **changes):
    with pytest.raises(MealkitError) as caught:
        call(*arguments, **changes)
    return caught.value.problems[0].code


def test_an_embedding_tells_how_long_vectors_are(warmed):
    """The length is known from then on, and stays the same."""
    served, asked = warmed(VECTORS)
    assert served.dimensions == 3
    assert asked[0][0] == "POST /v1/embeddings"
    assert warmed(VECTORS, dimensions=3)[0].dimensions == 3
    assert refused(warmed, VECTORS, dimensions=4) == "ENGINE_ANSWER"


@pytest.mark.parametrize(
    ("features", "overrides", "path", "tokens"),
    [
        ({Feature.CHAT, Feature.COMPLETION}, {}, "POST /v1/chat/completions", 1),
        ({Feature.COMPLETION}, {}, "POST /v1/completions", 1),
        ({Feature.COMPLETION}, {"max_tokens": {"minimum": 5}}, "POST /v1/completions", 5),
    ],
)
def test_a_generation_is_asked_for_as_little_as_it_may(warmed, features, overrides, path, tokens):
    """One token, or the fewest that the kit allows."""
    changes = {"features": frozenset(features), "overrides": overrides}
    _, ((target, body),) = warmed({"usage": USAGE}, Task.GENERATION, **changes)
    assert (target, body["max_tokens"]) == (path, tokens)


@pytest.mark.parametrize(
    ("feature", "asked"), [(Feature.CHAT, (True, 0)), (Feature.COMPLETION, (1, None))]
)
def test_likelihoods_are_asked_for_once(warmed, feature, asked):
    """An engine that compiles this part on its first use does so before the kit is ready."""
    _, ((_, body),) = warmed(
        {"usage": USAGE}, Task.GENERATION, features=frozenset({feature, Feature.LOGPROBS})
    )
    assert (body["logprobs"], body.get("top_logprobs")) == asked


@pytest.mark.parametrize(
    ("task", "path"),
    [(Task.CLASSIFICATION, "POST /v1/classify"), (Task.RERANKING, "POST /v1/rerank")],
)
def test_other_tasks_are_asked_once(warmed, task, path):
    """Nothing is learnt from their answers."""
    assert [target for target, _ in warmed({}, task)[1]] == [path]


def prediction(required=(), **fields):
    taken = {"type": "object", "properties": fields, "required": list(required)}
    return {"input": taken, "output": True, "streams": False}


@pytest.mark.parametrize(
    ("form", "example"),
    [
        (prediction(), {}),
        (prediction(top={"default": 3}), {}),
        (prediction(top={"default": 3, "examples": [5]}), {"top": 5}),
        (prediction(["text"], text={"examples": ["salt", "oil"]}, top={}), {"text": "salt"}),
    ],
)
def test_a_prediction_answers_the_example_of_its_author(warmed, form, example):
    """After its schema is known, and before the kit is ready."""
    served, (first, (target, body)) = warmed(form, Task.PREDICTION)
    assert (served.prediction, first) == (form, ("GET /schema", None))
    assert (target, body["input"], body["stream"]) == ("POST /v1/predict", example, False)
    assert warmed.untried is None


def test_a_prediction_without_an_example_is_not_tried(warmed):
    """Its input is not guessed, and the kit's state says so."""
    form = prediction(["top", "text"], top={"examples": [1]}, text={"type": "string"})
    served, asked = warmed(form, Task.PREDICTION)
    assert (served.prediction, asked) == (form, [("GET /schema", None)])
    assert "predict was not tried, because its input text has no example" in warmed.untried


@pytest.mark.parametrize(
    "answer",
    [
        *(b"", b"[]", b"null", {}, {"input": {}}, {"input": [], "output": {}}),
        *({"input": {}, "output": "x"}, b'{"input": ' + b"[" * 200 + b"]" * 200 + b"}"),
    ],
    ids=range(8),
)
def test_a_schema_that_is_none_is_the_engines_fault(warmed, answer):
    """The kit does not become ready with it."""
    assert refused(warmed, answer, Task.PREDICTION) == "ENGINE_ANSWER"


def test_a_refusal_is_the_workers_own_problem(warmed):
    """Its code is not replaced."""
    answer = {"error": {"code": "ENGINE_FAILED", "message": "broken", "where": None}}
    assert refused(warmed, answer, status=500).startswith(("ENGINE", "HANDLER"))

"""What every hosted engine promises for reranking, whichever engine it is.

A new engine adds a fixture that returns the dotted path of its worker and the fields of its
configuration, and names it in ENGINES; if it runs the tiny reranker, in REAL too.
"""

import json
import re
from itertools import groupby
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "kits/tiny-reranker"
REAL = ["onnx", "transformers"]
ENGINES = ["plain", *REAL]

# Half of a surrogate pair: JSON can name it, UTF-8 cannot write it.
HALF = '{"model": "m", "query": "x", "documents": ["x", "\\ud800"]}'

QUERY = "What does shutil copytree do?"
DOCUMENTS = [
    "Return the day of the week as an integer, where Monday is 0.",
    "Recursively copy a directory tree and return the destination directory.",
    "x",
    "Recursively copy a directory tree and return the destination directory.",
    "ж 日 🍲",
]


@pytest.fixture(scope="module")
def plain():
    return "plain_scorer:PlainScorer", {}


@pytest.fixture(scope="module")
def onnx():
    return "mealkit.engines.onnx.worker:OnnxWorker", {
        "model_root": str(MODEL),
        "hyperparameters": {"max_length": 128, "function": "none", "overlong": "refuse"},
        "settings": {"graph": "model.onnx", "threads": 1},
    }


@pytest.fixture(scope="module")
def transformers(transformers_settings, transformers_packages):
    return "mealkit.engines.transformers.worker:TransformersWorker", {
        "model_root": str(MODEL),
        "hyperparameters": {"max_length": 128, "function": "none", "overlong": "refuse"},
        "settings": transformers_settings,
        "packages": [transformers_packages],
    }


@pytest.fixture(scope="module")
def engine(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def host(engine, start_shared_host, tmp_path_factory):
    """Return a host that the tests share, because loading takes seconds with some engines."""
    worker, fields = engine
    path = tmp_path_factory.mktemp("socket") / "worker.sock"
    return start_shared_host(
        worker, task="reranking", socket_path=path, **fields
    ).wait_until_ready()


@pytest.fixture
def own_host(engine, start_host):
    """Return a host of which nothing has to be left."""
    worker, fields = engine
    return start_host(worker, task="reranking", **fields).wait_until_ready()


def pytest_generate_tests(metafunc):
    """Ask all engines, or those with a model where a test is about one."""
    if "engine" in metafunc.fixturenames:
        names = REAL if "golden" in metafunc.fixturenames else ENGINES
        metafunc.parametrize("engine", names, indirect=True, scope="module")


@pytest.fixture(scope="session")
def golden():
    """Held-out questions, each with documents, torch's logits, and its own document first."""
    cases = json.loads((MODEL / "golden.json").read_text("utf-8"))["cases"]
    return [(query, list(found)) for query, found in groupby(cases, lambda case: case["query"])]


def rerank(host, query, documents, **fields):
    body = {"model": "m", "query": query, "documents": documents, **fields}
    return host.request("POST", "/v1/rerank", body)


def scores(answer):
    """Return the scores by the documents' numbers; check their order."""
    assert answer.status == 200, answer.body
    results = answer.json["results"]
    order = [(-item["relevance_score"], item["index"]) for item in results]
    assert order == sorted(order)
    return {item["index"]: item["relevance_score"] for item in results}


def test_every_document_is_scored_best_first(host):
    """Each document once, the best first, and of equals the one that was given first."""
    answer = rerank(host, QUERY, DOCUMENTS)
    assert (answer.json["object"], answer.json["model"]) == ("list", "m")
    found = scores(answer)
    assert sorted(found) == list(range(len(DOCUMENTS)))
    assert found[1] == found[3]


def test_scores_are_torchs(host, golden):
    """On held-out pairs the scores are the logits that torch computed after training."""
    for query, cases in golden:
        answer = rerank(host, query, [case["document"] for case in cases])
        found = scores(answer)
        for index, case in enumerate(cases):
            assert found[index] == pytest.approx(case["logits"][0], abs=1e-5)
        assert answer.json["usage"]["total_tokens"] == sum(case["tokens"] for case in cases)


def test_company_does_not_change_a_score(host):
    """A document's score is the same alone, among others, and among others in another order."""
    together = scores(rerank(host, QUERY, DOCUMENTS))
    turned = scores(rerank(host, QUERY, DOCUMENTS[::-1]))
    for index, document in enumerate(DOCUMENTS):
        alone = scores(rerank(host, QUERY, [document]))[0]
        assert alone == together[index] == turned[len(DOCUMENTS) - 1 - index]


def test_repetition_does_not_change_an_answer(host):
    """The same request gives the same bytes."""
    assert rerank(host, QUERY, DOCUMENTS).body == rerank(host, QUERY, DOCUMENTS).body


def test_usage_counts_every_pair(host):
    """The tokens of a request are those of the query with each document."""
    alone = [rerank(host, QUERY, [text]).json["usage"]["total_tokens"] for text in DOCUMENTS]
    usage = rerank(host, QUERY, DOCUMENTS).json["usage"]
    assert usage == {"prompt_tokens": sum(alone), "total_tokens": sum(alone)}
    assert min(alone) > len(QUERY.split())


def test_an_overlong_pair_is_refused_with_the_numbers(host):
    """The refusal names the document, the tokens of the pair and the limit; nothing is cut."""
    answer = rerank(host, QUERY, ["x", "salt " * 500])
    assert (answer.status, answer.error["code"]) == (400, "REQUEST_TOO_LONG")
    assert answer.error["where"] == "documents[1]"
    assert re.search(
        r"document 1 has \d+ tokens, but this model's maximum context length is \d+",
        answer.error["message"],
    )


def test_refusals_have_one_shape(host):
    """A body that no gateway writes gets a 400 in the usual format; the worker keeps running."""
    for body in (
        HALF,
        {"model": "m", "query": ["x"], "documents": ["x"]},
        {"model": "m", "query": "x", "documents": []},
        {"model": "m", "query": "x", "documents": [{"text": "x"}]},
        {"model": "m", "documents": ["x"]},
        {"model": "m", "query": "x"},
    ):
        answer = host.request("POST", "/v1/rerank", body)
        assert (answer.status, answer.error["code"]) == (400, "REQUEST_INVALID")
        assert answer.error["owner"] == "caller"
    scores(rerank(host, "x", ["x"]))


def test_it_ends_when_told(own_host):
    """SIGTERM after some requests: exit code 0, socket removed, no output."""
    scores(rerank(own_host, QUERY, DOCUMENTS))
    own_host.terminate()
    assert own_host.ended() == (0, "")
    assert not own_host.socket.exists()


def test_it_dies_with_a_signal_that_is_seen(own_host):
    """A worker that is killed exits immediately, with the signal as its exit code."""
    scores(rerank(own_host, QUERY, DOCUMENTS))
    own_host.process.kill()
    assert own_host.ended() == (-9, "")

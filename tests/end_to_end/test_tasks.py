"""Classification and reranking in containers: kits locked and built here, held to torch's answers."""

import json
import math
import shutil
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fakes.clients import call
from fakes.little import write_kit
from fakes.served import ROOT

from mealkit.pipeline.home import Home

KITS = ROOT / "kits"
MODELS = {
    "classification": (KITS / "tiny-classifier", "softmax"),
    "reranking": (KITS / "tiny-reranker", "sigmoid"),
}

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("tasks")]

Asker = Callable[..., Any]


def cases_of(task: str) -> list[dict[str, Any]]:
    """Texts that the model was not trained with, and the logits that torch computed."""
    folder, _ = MODELS[task]
    found: list[dict[str, Any]] = json.loads((folder / "golden.json").read_text("utf-8"))["cases"]
    return found


def questions() -> list[tuple[str, list[str], list[float]]]:
    """Each question with its documents, and their scores by torch's logits."""
    made = []
    for query, group in groupby(cases_of("reranking"), lambda case: case["query"]):
        found = list(group)
        scores = [sigmoid(case["logits"][0]) for case in found]
        made.append((query, [case["document"] for case in found], scores))
    return made


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def write_task(folder: Path, task: str) -> Path:
    """Write a kit of a tiny model, as an author would."""
    model, function = MODELS[task]
    files = ["config.json", "model.onnx", "model.safetensors", "tokenizer.json"]
    form = {
        "apiVersion": "mealkit/v1",
        "name": model.name,
        "version": "1.0.0",
        "license": "Apache-2.0",
        "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
        "model": {
            "name": model.name,
            "license": "PSF-2.0",
            "task": task,
            "weights": [{"source": "folder", "path": "model", "files": files}],
        },
        "prompts": {},
        "hyperparameters": {"max_length": 128, "function": function, "overlong": "refuse"},
        "runtime": {
            "engine": "onnx",
            "settings": {"threads": 1},
            "base": {"source": "debian", "suite": "trixie"},
            "python": "3.13",
        },
        "hardware": {"gpu": "none", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 4},
    }
    write_kit(folder, form)
    (folder / "model").mkdir()
    for name in files:
        shutil.copyfile(model / name, folder / "model" / name)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, home_with_files) -> Home:
    """A home that has fetched what it needs before, and built nothing."""
    made: Home = home_with_files(tmp_path_factory.mktemp("tasks") / "home")
    return made


def asker(url: str, model: str) -> Iterator[Asker]:
    """Ask a kit; 200 is what is expected, unless another status is named."""
    with httpx2.Client(base_url=url, timeout=60) as client:

        def ask(path: str, status: int = 200, **fields: Any) -> Any:
            answer = client.post(path, json={"model": model, **fields})
            assert answer.status_code == status, answer.text
            return answer.json()

        ask.url = url
        yield ask


@pytest.fixture(scope="module")
def classifier(home: Home, serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A running classifier."""
    kit = write_task(tmp_path_factory.mktemp("kit") / "classifier", "classification")
    yield from asker(serve(kit, home, "sandbox").url, "tiny-classifier")


@pytest.fixture(scope="module")
def reranker(home: Home, serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """A running reranker."""
    kit = write_task(tmp_path_factory.mktemp("kit") / "reranker", "reranking")
    yield from asker(serve(kit, home, "docker").url, "tiny-reranker")


def test_classifier_gives_torchs_probabilities(classifier):
    """All held-out texts in one request: labels, and the softmax of torch's logits."""
    cases = cases_of("classification")
    answer = classifier("/v1/classify", input=[case["text"] for case in cases])
    assert [item["index"] for item in answer["data"]] == list(range(len(cases)))
    for case, item in zip(cases, answer["data"], strict=True):
        assert item["probs"] == pytest.approx(softmax(case["logits"]), abs=1e-5)
        assert item["label"] == answer["labels"][item["probs"].index(max(item["probs"]))]
        assert item["num_classes"] == len(answer["labels"]) == 8
    right = [
        item["label"] == case["label"] for case, item in zip(cases, answer["data"], strict=True)
    ]
    assert sum(right) / len(right) > 0.8
    assert answer["usage"]["prompt_tokens"] == sum(case["tokens"] for case in cases)


def test_classifier_counts_as_torch_does(classifier):
    """Tokens of a text, those that the model adds included; more than the limit are refused."""
    for case in cases_of("classification"):
        answer = classifier("/v1/tokenize", prompt=case["text"])
        assert (answer["count"], answer["max_model_len"]) == (case["tokens"], 128)
        assert len(answer["tokens"]) == case["tokens"]
    problem = classifier("/v1/classify", 400, input=["Copy.", "copy " * 200])["error"]
    assert (problem["code"], problem["owner"]) == ("context_length_exceeded", "caller")
    assert "202" in problem["message"]
    assert "128" in problem["message"]


def test_a_kit_has_the_paths_of_its_task(classifier):
    """What another task would answer is not there, and not described."""
    description = httpx2.get(f"{classifier.url}/openapi.json").json()
    assert "/v1/classify" in description["paths"]
    for path in ("/v1/rerank", "/v1/embeddings", "/v1/chat/completions"):
        assert path not in description["paths"]
        assert classifier(path, 404)["error"]["code"]


@pytest.mark.docker
def test_reranker_gives_torchs_scores(reranker):
    """Each held-out question with its documents: the sigmoid of torch's logits, best first."""
    for query, documents, scores in questions():
        answer = reranker("/v1/rerank", query=query, documents=documents)
        found = [item["relevance_score"] for item in answer["results"]]
        assert found == sorted(found, reverse=True)
        assert found == pytest.approx(sorted(scores, reverse=True), abs=1e-5)
        for item in answer["results"]:
            assert item["relevance_score"] == pytest.approx(scores[item["index"]], abs=1e-5)
    query, documents, _ = questions()[0]
    best = reranker("/v1/rerank", query=query, documents=documents, top_n=1, return_documents=True)
    (first,) = best["results"]
    assert first["document"]["text"] == documents[first["index"]]


@pytest.mark.docker
def test_reranker_counts_tokens(reranker):
    """A text's tokens can be asked for; a pair that is too long is refused with its document."""
    assert reranker("/v1/tokenize", prompt="copy copy")["count"] == 4
    problem = reranker("/v1/rerank", 400, query="Copy?", documents=["copy", "copy " * 200])["error"]
    assert (problem["code"], problem["owner"]) == ("context_length_exceeded", "caller")
    assert "document 1" in problem["message"]


@pytest.mark.docker
def test_coheres_client_ranks(reranker):
    """Cohere's own client, both of its generations: the same best two as over HTTP."""
    query, documents, scores = questions()[0]
    answer = reranker("/v1/rerank", query=query, documents=documents, top_n=2)
    expected = [[item["index"], item["relevance_score"]] for item in answer["results"]]
    assert expected[0][0] == scores.index(max(scores))
    assert call("cohere_rerank", reranker.url, "tiny-reranker", query, *documents) == [expected] * 2

"""Vectors against torch's and onnxruntime's, with the real model."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mealkit.engines.onnx.worker import OnnxWorker
from mealkit.worker.interface import WorkerConfig

LONG = "salt " * 250


@pytest.fixture(scope="module")
def minilm(worker, minilm_files):
    """The worker with all-MiniLM-L6-v2."""
    return worker.load(minilm_files, "embeddings")


def vectors(found):
    return [base64.b64decode(vector) for vector in found["vectors"]]


def matrix(found):
    return np.array([np.frombuffer(vector, "<f4") for vector in vectors(found)])


def test_vectors_are_torchs_and_onnxruntimes(minilm, golden, onnx_fields):
    """Every golden text has the recorded vector and tokens, and the onnx worker agrees."""
    texts = [text for text, _, _ in golden]
    found = minilm("embed", texts)
    expected = np.array([np.frombuffer(vector, "<f4") for _, _, vector in golden])
    assert np.abs(matrix(found) - expected).max() < 1e-6
    assert found["token_counts"] == [tokens for _, tokens, _ in golden]
    assert found["dimensions"] == 384
    other = OnnxWorker()
    config = {"model_name": "m", "task": "embeddings", "code_root": "/nowhere", **onnx_fields}
    other.load(WorkerConfig.from_json(json.dumps(config)))
    theirs = np.array([np.frombuffer(item, "<f4") for item in other.embed(texts).vectors])
    assert np.abs(matrix(found) - theirs).max() < 1e-5


def test_company_changes_no_bit(minilm, golden):
    """A text's vector is the same bytes alone, in a batch, in another order, beside a long text."""
    texts = [text for text, _, _ in golden][:8]
    together = vectors(minilm("embed", [LONG, *texts]))[1:]
    turned = vectors(minilm("embed", texts[::-1]))[::-1]
    alone = [vectors(minilm("embed", [text]))[0] for text in texts]
    assert together == turned == alone


def test_requests_at_the_same_time_get_their_own_bits(
    start_host, minilm_files, transformers_settings, transformers_packages, onnx_fields
):
    """Whichever thread answers, and however many ask: the bytes are those of a request alone."""
    host = start_host(
        "mealkit.engines.transformers.worker:TransformersWorker",
        packages=[transformers_packages],
        model_root=str(minilm_files),
        hyperparameters=onnx_fields["hyperparameters"],
        settings=transformers_settings,
    ).wait_until_ready()
    texts = [f"dish number {index} " + "and salt " * index for index in range(8)]
    alone = [host.embed(text).body for text in texts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda text: host.embed(text).body, texts)) == alone


def test_the_tokenizers_own_128_tokens_are_not_the_limit(minilm):
    """256 tokens are read; the 257th is refused with the numbers, and nothing is cut."""
    same = "salt " * 190
    found = matrix(minilm("embed", [same + "pepper " * 30, same + "quantum " * 30]))
    assert found[0] @ found[1] < 0.99
    assert minilm("embed", ["salt " * 254])["token_counts"] == [256]
    problem = minilm.problem("embed", ["a", "salt " * 255])
    assert (problem["code"], problem["where"]) == ("REQUEST_TOO_LONG", "input[1]")
    assert problem["message"].startswith("input 1 has 257 tokens")
    assert "maximum context length is 256 tokens" in problem["message"]
    assert minilm("tokenize", "salt salt") == [101, 5474, 5474, 102]


def test_pooling_and_normalization_are_as_pinned(worker, minilm_files):
    """cls is another vector than mean; without normalize it has the length that it has."""
    text = ["A cat sleeps on the warm stones of the courtyard."]
    mean = matrix(worker.load(minilm_files, "embeddings")("embed", text))[0]
    first = matrix(worker.load(minilm_files, "embeddings", pooling="cls")("embed", text))[0]
    raw = matrix(worker.load(minilm_files, "embeddings", normalize=False)("embed", text))[0]
    assert mean @ first < 0.9
    assert abs(np.linalg.norm(raw) - 1) > 0.1
    assert mean @ raw / np.linalg.norm(raw) > 0.999999


def test_more_tokens_than_the_model_has_positions_for_stop_the_start(worker, minilm_files):
    """max_length is tried before the first request: 513 positions are one too many."""
    problem = worker.load_problem(minilm_files, "embeddings", max_length=513)
    assert problem["code"] == "ENGINE_START"
    assert "max_length 513" in problem["message"]


def test_a_model_of_another_kind_has_no_vectors_for_a_task(worker, minilm_files):
    """A head that the weights lack is not made up of random numbers."""
    problem = worker.load_problem(minilm_files, "classification")
    assert problem["code"] == "ENGINE_START"
    assert "classifier.bias, classifier.weight" in problem["message"]


def test_asking_before_loading_is_refused(worker):
    """A worker that has not loaded says so, for every task."""
    worker("new")
    for method, *arguments in (["embed", ["x"]], ["classify", ["x"]], ["rerank", "x", ["x"]]):
        assert worker.problem(method, *arguments)["code"] == "NOT_READY"

"""Labels and scores, with the tiny classifier and the tiny reranker."""

import json
from pathlib import Path

import numpy as np
import pytest
from engines.transformers.conftest import edited

MODELS = Path(__file__).parents[3] / "kits"
CLASSIFIER, RERANKER = MODELS / "tiny-classifier", MODELS / "tiny-reranker"
TEXTS = ["Return the day of the week as an integer.", "Start the event loop.", "ж 日 🍲"]


def labels(folder: Path):
    return json.loads((folder / "config.json").read_text())["id2label"]


def test_functions_are_as_pinned(worker):
    """softmax shares out certainty among the labels; sigmoid gives each its own."""
    shared = worker.load(CLASSIFIER, "classification")("classify", TEXTS)
    alone = worker.load(CLASSIFIER, "classification", function="sigmoid")("classify", TEXTS)
    assert shared["labels"] == [name for _, name in sorted(labels(CLASSIFIER).items())]
    one, other = np.array(shared["probabilities"]), np.array(alone["probabilities"])
    assert np.allclose(one.sum(axis=1), 1, atol=1e-6)
    assert not np.allclose(other.sum(axis=1), 1, atol=1e-2)
    # The logits of both are the same: log(p / (1 - p)) and log(q) differ by one number per text.
    distances = np.log(other / (1 - other)) - np.log(one)
    assert np.ptp(distances, axis=1).max() < 1e-3


def test_a_score_is_the_logit_or_its_sigmoid(worker):
    """Both order documents alike."""
    raw = worker.load(RERANKER, "reranking", function="none")("rerank", "What is it?", TEXTS)
    share = worker.load(RERANKER, "reranking")("rerank", "What is it?", TEXTS)
    logits, scores = np.array(raw["scores"]), np.array(share["scores"])
    assert np.allclose(1 / (1 + np.exp(-logits)), scores, atol=1e-6)
    assert raw["token_counts"] == share["token_counts"]


def test_labels_are_in_the_order_of_their_numbers(worker, copied):
    """The numbers of labels are numbers: 10 comes after 2."""
    folder = copied(CLASSIFIER)
    names = {str(number): f"label {number}" for number in range(len(labels(folder)))}
    edited(folder / "config.json", id2label=dict(sorted(names.items(), reverse=True)))
    found = worker.load(folder, "classification")("classify", TEXTS[:1])
    assert found["labels"] == list(names.values())


def test_a_classifier_ranks_nothing(worker):
    """More than one number for a pair is not a score."""
    problem = worker.load_problem(CLASSIFIER, "reranking")
    assert problem["code"] == "ENGINE_START"
    assert "expected 1" in problem["message"]


def test_one_label_has_no_shares(worker):
    """softmax over one label is always 1."""
    problem = worker.load_problem(RERANKER, "classification")
    assert (problem["code"], problem["where"]) == ("ENGINE_START", "hyperparameters.function")
    sigmoid = worker.load(RERANKER, "classification", function="sigmoid")("classify", TEXTS)
    assert [len(row) for row in sigmoid["probabilities"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("folder", "task"), [(CLASSIFIER, "classification"), (RERANKER, "reranking")]
)
def test_more_tokens_than_positions_stop_the_start(worker, folder, task):
    """max_length is tried before the first request."""
    limit = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    problem = worker.load_problem(folder, task, max_length=limit + 1)
    assert problem["code"] == "ENGINE_START"
    assert f"max_length {limit + 1}" in problem["message"]

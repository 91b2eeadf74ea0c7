"""The onnx classifier and reranker with their tiny models: labels, functions, limits, company."""

import json
import math
import shutil
from pathlib import Path

import pytest

from mealkit.engines.onnx.worker import OnnxWorker
from mealkit.errors import MealkitError
from mealkit.worker.interface import WorkerConfig

MODELS = Path(__file__).parents[3] / "kits"
TASKS = {"classification": MODELS / "tiny-classifier", "reranking": MODELS / "tiny-reranker"}
SETTINGS = {"graph": "model.onnx", "threads": 1}


def loaded(task, function, folder=None, max_length=128):
    chosen = {"max_length": max_length, "function": function, "overlong": "refuse"}
    root = folder or TASKS[task]
    worker = OnnxWorker()
    worker.load(WorkerConfig("m", root, task, chosen, SETTINGS, root / "code"))
    return worker


def problem_of(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


@pytest.fixture(scope="module")
def texts():
    return [
        case["text"]
        for case in json.loads((MODELS / "tiny-classifier/golden.json").read_text())["cases"]
    ]


@pytest.fixture
def copied(tmp_path):
    """A classifier's folder that a test may damage."""
    return Path(shutil.copytree(MODELS / "tiny-classifier", tmp_path / "model"))


def change_config(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def test_company_changes_no_bit(texts):
    """Probabilities and scores are the same numbers alone, among others, and in another order."""
    classifier, reranker = loaded("classification", "softmax"), loaded("reranking", "none")
    many = texts * 4
    alone = [classifier.classify([text]).probabilities[0] for text in texts]
    assert classifier.classify(many).probabilities == alone * 4
    assert classifier.classify(many[::-1]).probabilities == alone[::-1] * 4
    scores = [reranker.rerank("What does join do?", [text]).scores[0] for text in texts]
    assert reranker.rerank("What does join do?", many).scores == scores * 4


def test_functions_are_of_the_same_logits(texts):
    """Softmax and sigmoid of one model, and the reranker's logit and its sigmoid, fit together."""
    shares = loaded("classification", "softmax").classify(texts)
    single = loaded("classification", "sigmoid").classify(texts)
    assert shares.labels == single.labels
    for left, right in zip(shares.probabilities, single.probabilities, strict=True):
        powers = [value / (1 - value) for value in right]
        assert left == pytest.approx([power / sum(powers) for power in powers], abs=1e-9)
    logits = loaded("reranking", "none").rerank("What does join do?", texts).scores
    scores = loaded("reranking", "sigmoid").rerank("What does join do?", texts).scores
    assert scores == pytest.approx([1 / (1 + math.exp(-logit)) for logit in logits], abs=1e-12)


def test_a_length_beyond_the_model_does_not_start():
    """The longest input is tried at the start: positions that the model has not got fail there."""
    problem = problem_of(lambda: loaded("classification", "softmax", max_length=129))
    assert problem.code == "ENGINE_START"
    assert problem.message.startswith("129 tokens cannot be run: onnxruntime failed: ")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, "config.json names no labels in id2label"),
        (None, "config.json names no labels in id2label"),
        ({"0": "a", "2": "b"}, "id2label of config.json does not name the labels 0 to 1"),
        ({"0": "a", "1": 7}, "id2label of config.json does not name the labels 0 to 1"),
        ({"0": "a", "1": "a"}, "id2label of config.json names 'a' twice"),
        ({"0": "a", "1": "b"}, "the graph has 8 logits, but config.json names 2 labels"),
        ({"0": "a"}, "the model has one label, whose softmax is always 1"),
    ],
)
def test_labels_that_are_not_the_graphs_are_refused(copied, labels, said):
    """Every label is named once, and there are as many as logits; else nothing starts."""
    change_config(copied, id2label=labels)
    problem = problem_of(lambda: loaded("classification", "softmax", copied))
    assert (problem.code, problem.message) == ("ENGINE_START", said)


def test_a_config_that_is_missing_or_broken_is_named(copied):
    """Without config.json there are no labels."""
    (copied / "config.json").write_text("{")
    assert problem_of(lambda: loaded("classification", "softmax", copied)).code == "ENGINE_START"
    (copied / "config.json").unlink()
    problem = problem_of(lambda: loaded("classification", "softmax", copied))
    assert (problem.code, problem.where) == ("WEIGHTS_MISSING", str(copied / "config.json"))


def test_a_classifier_is_no_reranker():
    """A graph with another number of logits than one does not start as a reranker."""
    problem = problem_of(lambda: loaded("reranking", "none", TASKS["classification"]))
    assert problem.code == "ENGINE_START"
    assert "shape (1, 8), expected one for each pair" in problem.message


@pytest.mark.parametrize(
    ("task", "function"), [("classification", "none"), ("reranking", "softmax"), ("other", "none")]
)
def test_what_it_does_not_do_is_refused(task, function):
    """A function or a task that is not the engine's is named before anything is loaded."""
    folder = TASKS["classification"]
    problem = problem_of(lambda: loaded(task, function, folder))
    assert problem.code == "CONFIG_INVALID"
    assert problem.where == ("worker.task" if task == "other" else "hyperparameters.function")


def test_a_worker_does_the_task_that_it_was_loaded_for():
    """What was not loaded says so; tokens can be asked for in every task."""
    worker = loaded("reranking", "none")
    assert problem_of(lambda: worker.embed(["x"])).code == "NOT_READY"
    assert problem_of(lambda: worker.classify(["x"])).code == "NOT_READY"
    assert problem_of(lambda: OnnxWorker().rerank("x", ["x"])).code == "NOT_READY"
    assert problem_of(lambda: OnnxWorker().tokenize("x")).code == "NOT_READY"
    assert len(worker.tokenize("return the path " * 100)) > 128

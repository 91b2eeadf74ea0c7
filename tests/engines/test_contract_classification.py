"""What every hosted engine promises for classification, whichever engine it is.

A new engine adds a fixture that returns the dotted path of its worker and the fields of its
configuration, and names it in ENGINES; if it runs the tiny classifier, in REAL too.
"""

import json
import math
import re
from pathlib import Path

import pytest

MODEL = Path(__file__).parents[2] / "kits/tiny-classifier"
REAL = ["onnx", "transformers"]
ENGINES = ["plain", *REAL]

# Half of a surrogate pair: JSON can name it, UTF-8 cannot write it.
HALF = '{"model": "m", "input": "\\ud800"}'

TEXTS = [
    "Return the day of the week as an integer, where Monday is 0.",
    "x",
    "Start the event loop and wait for all tasks.",
    "ж 日 🍲",
    "Start the event loop and wait for all tasks.",
]


@pytest.fixture(scope="module")
def plain():
    return "plain_scorer:PlainScorer", {}


@pytest.fixture(scope="module")
def onnx():
    return "mealkit.engines.onnx.worker:OnnxWorker", {
        "model_root": str(MODEL),
        "hyperparameters": {"max_length": 128, "function": "softmax", "overlong": "refuse"},
        "settings": {"graph": "model.onnx", "threads": 1},
    }


@pytest.fixture(scope="module")
def transformers(transformers_settings, transformers_packages):
    return "mealkit.engines.transformers.worker:TransformersWorker", {
        "model_root": str(MODEL),
        "hyperparameters": {"max_length": 128, "function": "softmax", "overlong": "refuse"},
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
        worker, task="classification", socket_path=path, **fields
    ).wait_until_ready()


@pytest.fixture
def own_host(engine, start_host):
    """Return a host of which nothing has to be left."""
    worker, fields = engine
    return start_host(worker, task="classification", **fields).wait_until_ready()


def pytest_generate_tests(metafunc):
    """Ask all engines, or those with a model where a test is about one."""
    if "engine" in metafunc.fixturenames:
        names = REAL if "golden" in metafunc.fixturenames else ENGINES
        metafunc.parametrize("engine", names, indirect=True, scope="module")


@pytest.fixture(scope="session")
def golden():
    """Held-out texts with their labels and torch's logits."""
    return json.loads((MODEL / "golden.json").read_text("utf-8"))["cases"]


def classify(host, given, **fields):
    return host.request("POST", "/v1/classify", {"model": "m", "input": given, **fields})


def rows(answer):
    assert answer.status == 200, answer.body
    assert [item["index"] for item in answer.json["data"]] == list(range(len(answer.json["data"])))
    return answer.json["data"]


def test_probabilities_are_a_distribution_over_the_labels(host):
    """Each text has a probability for each label; they sum to 1, and the greatest is the answer."""
    answer = classify(host, TEXTS)
    labels = answer.json["labels"]
    assert (answer.json["object"], answer.json["model"]) == ("list", "m")
    for row in rows(answer):
        assert row["num_classes"] == len(row["probs"]) == len(labels)
        assert math.isclose(math.fsum(row["probs"]), 1, abs_tol=1e-6)
        assert min(row["probs"]) >= 0
        assert labels.index(row["label"]) == row["probs"].index(max(row["probs"]))


def test_answers_are_torchs(host, golden):
    """On held-out texts the probabilities are those that torch computed after training."""
    answer = classify(host, [case["text"] for case in golden])
    for case, row in zip(golden, rows(answer), strict=True):
        powers = [math.exp(logit) for logit in case["logits"]]
        expected = [power / math.fsum(powers) for power in powers]
        assert row["probs"] == pytest.approx(expected, abs=1e-5)
    assert answer.json["usage"]["total_tokens"] == sum(case["tokens"] for case in golden)


def test_the_model_has_learnt(host, golden):
    """Most held-out texts get the label of the module that they come from, of eight."""
    found = [row["label"] for row in rows(classify(host, [case["text"] for case in golden]))]
    right = sum(case["label"] == label for case, label in zip(golden, found, strict=True))
    assert right >= len(golden) * 0.6


def test_company_does_not_change_an_answer(host):
    """A text's probabilities are the same alone, in a batch, and in a batch in another order."""
    together = [row["probs"] for row in rows(classify(host, TEXTS))]
    turned = [row["probs"] for row in rows(classify(host, TEXTS[::-1]))][::-1]
    alone = [rows(classify(host, text))[0]["probs"] for text in TEXTS]
    assert together == turned == alone


def test_repetition_does_not_change_an_answer(host):
    """The same request gives the same bytes."""
    assert classify(host, TEXTS).body == classify(host, TEXTS).body


def test_usage_counts_every_text(host):
    """The tokens of a batch are the sum of the tokens of its texts."""
    alone = [classify(host, text).json["usage"]["total_tokens"] for text in TEXTS]
    usage = classify(host, TEXTS).json["usage"]
    assert usage == {"prompt_tokens": sum(alone), "total_tokens": sum(alone)}
    assert min(alone) >= 1


def test_overlong_input_is_refused_with_the_numbers(host):
    """The refusal names the text, its tokens and the limit; nothing is cut, nothing is answered."""
    answer = classify(host, ["x", "salt " * 500])
    assert (answer.status, answer.error["code"]) == (400, "REQUEST_TOO_LONG")
    assert answer.error["where"] == "input[1]"
    assert re.search(
        r"input 1 has \d+ tokens, but this model's maximum context length is \d+",
        answer.error["message"],
    )


def test_refusals_have_one_shape(host):
    """A body that no gateway writes gets a 400 in the usual format; the worker keeps running."""
    for body in (HALF, {"model": "m"}, {"model": "m", "input": []}):
        answer = host.request("POST", "/v1/classify", body)
        assert (answer.status, answer.error["code"]) == (400, "REQUEST_INVALID")
        assert answer.error["owner"] == "caller"
    rows(classify(host, "x"))


def test_other_tasks_are_not_answered(host):
    """A worker that could do several tasks answers the one that it was loaded for."""
    assert host.embed("x").error["code"] == "ROUTE_UNKNOWN"


def test_it_ends_when_told(own_host):
    """SIGTERM after some requests: exit code 0, socket removed, no output."""
    rows(classify(own_host, TEXTS))
    own_host.terminate()
    assert own_host.ended() == (0, "")
    assert not own_host.socket.exists()


def test_it_dies_with_a_signal_that_is_seen(own_host):
    """A worker that is killed exits immediately, with the signal as its exit code."""
    rows(classify(own_host, TEXTS))
    own_host.process.kill()
    assert own_host.ended() == (-9, "")

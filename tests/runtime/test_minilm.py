"""The container half with the real engine and the real model, from request to vector."""

import base64
import json
import math
import struct
from pathlib import Path

import pytest
from fakes.promises import failed_names

from mealkit.acceptance.target import Target, TestOptions
from mealkit.acceptance.testing import run_tests
from mealkit.recipe.lock import read_lock

REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests" / "engines" / "onnx" / "golden.json"
KIT = REPOSITORY / "kits" / "sbert-minilm"
GRAPH = KIT / "graph" / "model.onnx"


@pytest.fixture
def run(start, make_lock, minilm_files):
    """Start the container half with the kit's weights and graph, and one way of pooling."""
    weights = {
        "model.onnx": GRAPH.read_bytes(),
        **{name: (minilm_files / name).read_bytes() for name in ("model.safetensors", "tokenizer.json")},
    }  # fmt: skip

    def write(root: Path) -> None:
        for name, data in weights.items():
            (root / "models" / name).write_bytes(data)

    def begin(pooling: str):
        lock = make_lock(
            worker="mealkit.engines.onnx.worker:OnnxWorker",
            settings={"graph": "model.onnx", "threads": 1},
            hyperparameters={
                "pooling": pooling, "max_length": 256, "normalize": True, "overlong": "refuse",
            },
            weights=weights,
        )  # fmt: skip
        return lock, start(lock, change=write).wait_ready()

    return begin


@pytest.fixture
def kit(run):
    _, running = run("mean")
    return running


def test_vectors_through_the_gateway(kit):
    """What a caller gets are torch's vectors, and the tokens that the model saw."""
    cases = json.loads(GOLDEN.read_text())["cases"]
    answer = kit.embed([case["text"] for case in cases], encoding_format="base64").json()
    for case, found in zip(cases, answer["data"], strict=True):
        expected = struct.unpack("<384f", base64.b64decode(case["vector"]))
        vector = struct.unpack("<384f", base64.b64decode(found["embedding"]))
        assert sum(map(math.prod, zip(vector, expected, strict=True))) >= 0.99999
    assert answer["usage"]["prompt_tokens"] == sum(case["tokens"] for case in cases)


def test_overlong_text_is_refused_with_numbers(kit):
    """A text over the model's length is refused with its tokens and the limit, never cut."""
    answer = kit.embed("word " * 300)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
    assert "302" in error["message"]
    assert "256" in error["message"]
    assert kit.client.get("/v1/metadata").json()["limits"]["dimensions"] == 384


def test_another_pooling_is_noticed_by_claims_and_case(run):
    """The first token's vector instead of the mean: both claims of the kit and its case fail."""
    locked = read_lock((KIT / "kit.lock").read_bytes())
    lock, twin = run("cls")
    promises = {name: getattr(locked, name) for name in ("claims", "cases", "datasets")}
    files = [file.path for data in locked.datasets.values() for file in data.files]
    paths = {path: KIT / "data" / Path(path).name for path in files}
    report = run_tests(
        lock.model_copy(update=promises), Target(str(twin.client.base_url)), paths, TestOptions()
    )
    assert failed_names(report) == {"sentence-similarity", "published-vectors", "a-sentence"}

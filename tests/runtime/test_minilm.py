"""The container half with the real engine and the real model, from request to vector."""

import base64
import json
import math
import struct
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests" / "engines" / "onnx" / "golden.json"
GRAPH = REPOSITORY / "kits" / "sbert-minilm" / "graph" / "model.onnx"


@pytest.fixture
def kit(start, make_lock, minilm_files):
    weights = {
        "model.onnx": GRAPH.read_bytes(),
        **{name: (minilm_files / name).read_bytes() for name in ("model.safetensors", "tokenizer.json")},
    }  # fmt: skip
    lock = make_lock(
        worker="mealkit.engines.onnx.worker:OnnxWorker",
        settings={"graph": "model.onnx", "threads": 1},
        hyperparameters={
            "pooling": "mean", "max_length": 256, "normalize": True, "overlong": "refuse",
        },
        weights=weights,
    )  # fmt: skip

    def write(root: Path) -> None:
        for name, data in weights.items():
            (root / "models" / name).write_bytes(data)

    return start(lock, change=write).wait_ready()


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

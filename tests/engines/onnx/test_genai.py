"""Text by onnxruntime-genai: the oracle's tokens, nothing left behind, and what is refused."""

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import onnxruntime_genai
import pytest
from engines.numpy_llama import NumpyLlama

from mealkit.engines.onnx.config import GraphConfig
from mealkit.engines.onnx.genai import GenaiModel
from mealkit.engines.onnx.worker import OnnxWorker
from mealkit.errors import MealkitError
from mealkit.worker.interface import WorkerConfig

PROMPT = "<|im_start|>user\nWhat does join do?<|im_end|>\n<|im_start|>assistant\n"
PROMPTS = [PROMPT, "Return the", "class Kitchen:\n    def cook(self", "ж 日 🍲"]


@pytest.fixture(scope="module")
def model(tiny_llama_graph):
    return GenaiModel(GraphConfig(Path(tiny_llama_graph["model_root"]), "model.onnx", 1), 512)


@pytest.fixture(scope="module")
def oracle(tiny_llama):
    return NumpyLlama(tiny_llama)


@pytest.fixture
def folder(tiny_llama_graph, tmp_path):
    """A copy of the model that a test may spoil."""
    return Path(shutil.copytree(tiny_llama_graph["model_root"], tmp_path / "models"))


def edited(folder, edit):
    path = folder / "genai_config.json"
    stated = json.loads(path.read_text())
    edit(stated["model"])
    path.write_text(json.dumps(stated))


def problem_of(folder, length=512):
    with pytest.raises(MealkitError) as caught:
        GenaiModel(GraphConfig(folder, "model.onnx", 1), length)
    return caught.value.problems[0]


def greedy(model, tokens, count):
    """Return the likeliest tokens, and each step's logits."""
    logits = model.begin(tokens)
    chosen, seen = [], [np.array(logits)]
    for _ in range(count):
        chosen.append(int(logits.argmax()))
        logits = model.advance(chosen[-1])
        seen.append(np.array(logits))
    return chosen, np.stack(seen)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_tokens_are_the_oracles(model, oracle, prompt):
    """80 tokens, likeliest first, are those of the numpy forward pass; logits differ by little."""
    tokens = model.tokenize(prompt, rendered=True)
    assert tokens == oracle.tokenize(prompt, rendered=True)
    chosen, logits = greedy(model, tokens, 80)
    expected, theirs = greedy(oracle, tokens, 80)
    assert chosen == expected
    assert np.abs(logits - theirs).max() < 1e-4


def test_nothing_is_left_of_what_was_read_before(model):
    """A request's logits are the same bits after other requests, short and long."""
    tokens = model.tokenize(PROMPT, rendered=True)
    first = greedy(model, tokens, 20)
    greedy(model, [5] * 400, 10)
    model.begin([7])
    again = greedy(model, tokens, 20)
    assert again[0] == first[0]
    assert np.array_equal(again[1], first[1])


def test_a_prompt_that_nobody_waits_for_is_left(model):
    """A cancelled prompt gives nothing, and the next one is whole."""
    tokens = model.tokenize(PROMPT, rendered=True)
    expected = np.array(model.begin(tokens))
    assert model.begin_unless(tokens, lambda: True) is None
    assert np.array_equal(model.begin(tokens), expected)


def test_what_the_files_say_of_the_model(model, folder, tiny_llama):
    """Context and ends are those of genai_config.json, the rest that of the model's own files."""
    assert (model.vocabulary_size, model.context_tokens, model.end_ids) == (2048, 512, {2})
    assert model.chat_template == (tiny_llama / "chat_template.jinja").read_text()
    edited(folder, lambda stated: stated.update(eos_token_id=[0, 3], context_length=64))
    other = GenaiModel(GraphConfig(folder, "model.onnx", 1), 512)
    assert (other.context_tokens, other.end_ids) == (64, {0, 2, 3})


def test_a_context_beyond_the_models_does_not_start(folder, generation_fields):
    """max_length is compared with genai_config.json before the first request."""
    edited(folder, lambda stated: stated.update(context_length=64))
    fields = {"model_name": "m", "code_root": "/nowhere", **generation_fields}
    settings = {"threads": 1, "graph": "model.onnx"}
    config = json.dumps({**fields, "model_root": str(folder), "settings": settings})
    with pytest.raises(MealkitError) as caught:
        OnnxWorker().load(WorkerConfig.from_json(config))
    problem = caught.value.problems[0]
    assert problem.code == "ENGINE_START"
    assert problem.message == "max_length is 512, the model's limit is 64"


@pytest.mark.parametrize(
    ("edit", "code", "said"),
    [
        (
            lambda stated: stated["decoder"]["session_options"].update(custom_ops_library="x.so"),
            "ENGINE_REMOTE_CODE",
            "requires a library of code: x.so",
        ),
        (
            lambda stated: stated["decoder"]["session_options"].update(enable_profiling="p"),
            "ENGINE_START",
            "enables profiling",
        ),
        (
            lambda stated: stated.update(vision={"filename": "vision.onnx"}),
            "ENGINE_START",
            "parts that this engine does not support: vision",
        ),
        (
            lambda stated: stated["decoder"].update(pipeline=[{"embeddings": {}}]),
            "ENGINE_START",
            "parts that this engine does not support: decoder.pipeline",
        ),
        (
            lambda stated: stated["decoder"].update(filename="other.onnx"),
            "ENGINE_START",
            "names the graph 'other.onnx', but the kit names 'model.onnx'",
        ),
        (
            lambda stated: stated.update(context_length="long"),
            "ENGINE_START",
            "model.context_length of genai_config.json is 'long', expected a number of tokens",
        ),
        (
            lambda stated: stated.update(type="abacus"),
            "ENGINE_START",
            "onnxruntime-genai failed while it loaded the graph",
        ),
    ],
)
def test_descriptions_that_are_refused(folder, edit, code, said):
    """What would load code, write files, or needs more than one graph, stops the start."""
    edited(folder, edit)
    problem = problem_of(folder)
    assert problem.code == code
    assert said in problem.message
    assert problem.where == str(folder / "genai_config.json")


@pytest.mark.parametrize("name", ["genai_config.json", "model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    """Whatever is not there is named, before anything is loaded."""
    (folder / name).unlink()
    problem = problem_of(folder)
    assert (problem.code, problem.message) == ("WEIGHTS_MISSING", f"{name} is missing")


def test_weights_that_are_not_there_stop_the_start(folder):
    """The graph alone is not a model."""
    (folder / "model.safetensors").unlink()
    problem = problem_of(folder)
    assert problem.code == "ENGINE_START"
    assert "model.safetensors" in problem.message


def test_logits_that_are_no_numbers_stop_the_start(folder):
    """A weight that is not a number ends the start, before the first request."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    data[start:] = b"\xff" * (len(data) - start)
    path.write_bytes(data)
    assert "logits are not numbers" in problem_of(folder).message


def test_memory_is_that_of_one_sequence(folder, monkeypatch):
    """The last sequence goes before the next one takes its memory, which is all that it may need."""
    alive = []

    class Counted:
        def __init__(self, *arguments):
            assert alive == []
            alive.append(self.__class__)
            self._real = real(*arguments)

        def __getattr__(self, name):
            return getattr(self._real, name)

        def __del__(self):
            alive.pop()

    real = onnxruntime_genai.Generator
    monkeypatch.setattr(onnxruntime_genai, "Generator", Counted)
    model = GenaiModel(GraphConfig(folder, "model.onnx", 1), 512)
    for _ in range(3):
        greedy(model, model.tokenize(PROMPT, rendered=True), 2)
    assert len(alive) == 1

"""The onnx worker against torch's vectors, with the real model."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from mealkit.engines.onnx.worker import OnnxWorker
from mealkit.errors import MealkitError
from mealkit.worker.interface import WorkerConfig

REPOSITORY = Path(__file__).parents[3]


def config_of(fields, **changed):
    """Make a configuration with some hyperparameters, settings or other fields changed."""
    values = {"model_name": "m", "task": "embeddings", "code_root": "/code", **fields}
    for name, value in changed.items():
        group = next((g for g in ("hyperparameters", "settings") if name in values[g]), None)
        values = {**values, **({group: {**values[group], name: value}} if group else {name: value})}
    return WorkerConfig.from_json(json.dumps(values))


def loaded(fields, **changed):
    worker = OnnxWorker()
    worker.load(config_of(fields, **changed))
    return worker


@pytest.fixture(scope="module")
def worker(onnx_fields):
    return loaded(onnx_fields)


def matrix(found):
    return np.array([np.frombuffer(vector, "<f4") for vector in found.vectors])


def cosines(left, right):
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(axis=1) / lengths


def problem_of(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def test_vectors_are_torchs(worker, golden):
    """Alone and all together, every golden text has torch's vector, its length 1, its tokens."""
    expected = np.array([np.frombuffer(vector, "<f4") for _, _, vector in golden])
    texts = [text for text, _, _ in golden]
    together = worker.embed(texts)
    alone = np.concatenate([matrix(worker.embed([text])) for text in texts])
    assert cosines(matrix(together), expected).min() >= 0.99999
    assert cosines(alone, expected).min() >= 0.99999
    assert np.abs(matrix(together) - expected).max() < 1e-5
    assert np.allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)
    assert list(together.token_counts) == [tokens for _, tokens, _ in golden]
    assert together.dimensions == 384


def test_the_tokenizers_128_tokens_are_not_the_limit(worker, onnx_folder, golden):
    """A text over 128 tokens gets the vector of all its tokens; as the file cuts it, another."""
    long = [(text, vector) for text, tokens, vector in golden if tokens > 140]
    assert len(long) >= 5
    tokenizer = Tokenizer.from_file(str(onnx_folder / "tokenizer.json"))
    for text, vector in long:
        expected = np.frombuffer(vector, "<f4")[None]
        assert cosines(matrix(worker.embed([text])), expected)[0] >= 0.99999
        cut = tokenizer.encode(text)
        assert len(cut.ids) == 128
        shortened = text[: cut.offsets[126][1]]
        # A hundred repetitions of ten words mean the same when cut; the others do not.
        if not text.startswith("one two three"):
            assert cosines(matrix(worker.embed([shortened])), expected)[0] < 0.995


def test_words_after_the_128th_token_count(worker):
    """Texts that differ only behind their 128th token have different vectors."""
    same = "salt " * 190
    found = matrix(worker.embed([same + "pepper " * 30, same + "quantum " * 30]))
    assert cosines(found[:1], found[1:])[0] < 0.99


def test_company_changes_no_bit(worker, golden):
    """A text's vector is the same bytes alone, among others, and among others in another order."""
    texts = [text for text, _, _ in golden] + [f"dish {number} of ten" for number in range(40)]
    alone = [worker.embed([text]).vectors[0] for text in texts]
    assert list(worker.embed(texts).vectors) == alone
    assert list(worker.embed(texts[::-1]).vectors)[::-1] == alone


def test_large_batches_keep_their_order(worker):
    """A batch that is run in several parts, by length, comes back in the order it was given."""
    texts = [f"dish number {index} " + "and salt " * (index * 37 % 100) for index in range(60)]
    together = worker.embed(texts).vectors
    for index in (0, 1, 17, 31, 58, 59):
        assert worker.embed([texts[index]]).vectors[0] == together[index]


def test_requests_that_run_together_change_no_bit(worker):
    """Requests at the same time share runs, do not mix, and get the vectors that they get alone."""
    texts = [f"text {index} " + "again " * (index % 3) for index in range(24)]
    expected = [worker.embed([text]).vectors[0] for text in texts]
    runs: list[int] = []
    run = worker._encoder._graph._together._run
    worker._encoder._graph._together._run = lambda ids, types: (
        runs.append(len(ids)),
        run(ids, types),
    )[1]
    found: dict[int, list[bytes]] = {index: [] for index in range(len(texts))}
    start = threading.Barrier(len(texts))

    def ask(index):
        start.wait()
        for _ in range(5):
            found[index] += worker.embed([texts[index]]).vectors

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    worker._encoder._graph._together._run = run
    assert sum(runs) == 5 * len(texts)
    assert max(runs) > 1
    for index, vector in enumerate(expected):
        assert found[index] == [vector] * 5


def test_more_threads_give_the_same_vectors(worker, onnx_fields):
    """The number of threads is about speed only."""
    text = ["The recipe calls for salt, but nobody wrote down how much."]
    two = matrix(loaded(onnx_fields, threads=2).embed(text))
    assert cosines(two, matrix(worker.embed(text)))[0] >= 0.99999


def test_pooling_and_normalization_are_as_pinned(worker, onnx_fields):
    """cls is another vector than mean, and without normalize lengths are the model's own."""
    text = ["A cat sleeps on the warm stones of the courtyard."]
    mean = matrix(worker.embed(text))
    assert cosines(matrix(loaded(onnx_fields, pooling="cls").embed(text)), mean)[0] < 0.9
    raw = matrix(loaded(onnx_fields, normalize=False).embed(text))
    assert abs(np.linalg.norm(raw) - 1) > 0.1
    assert cosines(raw, mean)[0] >= 0.99999


def test_overlong_input_is_refused_with_the_numbers(worker):
    """The refusal names the input, its tokens and the limit; nothing is cut."""
    problem = problem_of(lambda: worker.embed(["a", "b", "c", "salt " * 299]))
    assert problem.code == "REQUEST_TOO_LONG"
    assert problem.message.startswith("input 3 has 301 tokens")
    assert "maximum context length is 256 tokens" in problem.message
    assert problem.where == "input[3]"
    assert worker.embed(["salt " * 254]).token_counts == [256]


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"pooling": "max"}, "hyperparameters.pooling"),
        ({"max_length": 0}, "hyperparameters.max_length"),
        ({"max_length": True}, "hyperparameters.max_length"),
        ({"normalize": 1}, "hyperparameters.normalize"),
        ({"overlong": "cut"}, "hyperparameters.overlong"),
        ({"threads": 0}, "settings.threads"),
        ({"graph": None}, "settings.graph"),
        ({"settings": {"graph": "model.onnx"}}, "settings.threads"),
        ({"settings": {"graph": "model.onnx", "threads": 1, "magic": 1}}, "settings.magic"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(onnx_fields, changed, where):
    """Unknown, missing and impossible values are named before anything is loaded."""
    problem = problem_of(lambda: loaded(onnx_fields, **changed))
    assert (problem.code, problem.where) == ("CONFIG_INVALID", where)


def test_embedding_before_loading_is_refused():
    """A worker that has not loaded says so."""
    assert problem_of(lambda: OnnxWorker().embed(["x"])).code == "NOT_READY"


@pytest.fixture
def copied(onnx_folder, onnx_fields, tmp_path):
    """A model folder that a test may damage, and its fields."""
    for path in onnx_folder.iterdir():
        (tmp_path / path.name).hardlink_to(path)
    return tmp_path, {**onnx_fields, "model_root": str(tmp_path)}


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_named(copied, name):
    """Without graph or tokenizer the worker does not load, and says which file it misses."""
    folder, fields = copied
    (folder / name).unlink()
    problem = problem_of(lambda: loaded(fields))
    assert (problem.code, problem.where) == ("WEIGHTS_MISSING", str(folder / name))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("left", [0, 0.5])
def test_a_file_that_was_cut_short_does_not_load(copied, name, left):
    """Half a file, or an empty one, is an engine that does not start, not a crash later."""
    folder, fields = copied
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    (folder / name).write_bytes(content[: int(len(content) * left)])
    assert problem_of(lambda: loaded(fields)).code == "ENGINE_START"


def test_missing_weights_are_an_engine_that_does_not_start(copied):
    """The weights are the graph's external data: without them it does not load."""
    folder, fields = copied
    (folder / "model.safetensors").unlink()
    problem = problem_of(lambda: loaded(fields))
    assert problem.code == "ENGINE_START"
    assert "model.safetensors" in problem.message


def test_weights_that_are_no_numbers_give_an_error(copied):
    """Vectors of nothing are refused, never answered."""
    folder, fields = copied
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-4_000_000:] = b"\xff" * 4_000_000
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(content)
    worker = loaded(fields)
    assert problem_of(lambda: worker.embed(["x"])).code == "ENGINE_ANSWER"


def test_a_graph_that_is_no_text_encoder_is_refused(copied):
    """Inputs and output are checked when loading."""
    folder, fields = copied
    value = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Identity", ["image"], ["class"])]
    image, kind = (value(name, onnx.TensorProto.FLOAT, [1]) for name in ("image", "class"))
    graph = onnx.helper.make_graph(nodes, "other", [image], [kind])
    opset = [onnx.helper.make_opsetid("", 20)]
    (folder / "model.onnx").unlink()
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset), folder / "model.onnx")
    problem = problem_of(lambda: loaded(fields))
    assert problem.code == "ENGINE_START"
    assert "has the inputs image and the outputs class" in problem.message


@pytest.fixture
def sealed(tmp_path):
    """Run the worker where a socket or a file opened for writing kills it."""
    home = tmp_path / "home"
    home.mkdir()

    def run(action, fields):
        config = tmp_path / "config.json"
        config.write_text(json.dumps(config_of(fields).as_json()))
        script = Path(__file__).parent / "sealed.py"
        kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)}
        return subprocess.run(
            [sys.executable, "-B", script, config, action],
            env={**kept, "HOME": str(home), "TMPDIR": str(home)},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        ), home

    return run


def test_the_worker_opens_no_socket_and_writes_no_file(sealed, onnx_fields):
    """Telemetry is off: no connection, no device id, no cache, from the import to the answer."""
    ended, home = sealed("use", onnx_fields)
    assert (ended.returncode, ended.stdout) == (0, "[4, 8]\n"), ended.stderr
    assert list(home.iterdir()) == []


def test_writing_text_opens_no_socket_and_writes_no_file(
    sealed, generation_fields, tiny_llama_graph
):
    """onnxruntime-genai has telemetry of its own, which is off too."""
    ended, home = sealed("use", {**generation_fields, **tiny_llama_graph})
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("['Started', 'Written'")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("action", ["connect", "write"])
def test_the_seal_is_tight(sealed, onnx_fields, action):
    """The same process dies at once when it does open a socket or write a file."""
    ended, home = sealed(action, onnx_fields)
    assert ended.returncode == -signal.SIGSYS
    assert list(home.iterdir()) == []


def test_read_only_mounts_of_single_files_are_enough(onnx_folder, onnx_fields, tmp_path):
    """Weights, tokenizer and graph may each be a read-only bind mount that another user owns."""
    root = tmp_path / "models"
    root.mkdir()
    mounts = []
    for path in sorted(onnx_folder.iterdir()):
        (root / path.name).touch()
        mounts.append(f"mount --bind {path} {root / path.name}")
        mounts.append(f"mount -o remount,bind,ro {root / path.name}")
    code = (
        "import sys; from mealkit.engines.onnx.worker import OnnxWorker\n"
        "from mealkit.worker.interface import WorkerConfig\n"
        "worker = OnnxWorker(); worker.load(WorkerConfig.from_json(sys.argv[1]))\n"
        "print(worker.embed(['hello world']).token_counts)\n"
    )
    script = " && ".join([*mounts, 'exec "$@"'])
    config = json.dumps(config_of(onnx_fields, model_root=str(root)).as_json())
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    ended = subprocess.run(
        [*command, sys.executable, "-B", "-c", code, config],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "[4]\n"), ended.stderr
    assert stat.S_ISREG((root / "model.onnx").stat().st_mode)

"""Estimating a target: files, a folder, a kit's lock, and a Hub of which only headers are read."""

import json
import os
import pty
import shutil
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.torch_kits import WHEELS, copy_with_wheel
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.estimating import EstimateRequest, estimate_target

KITS = Path(__file__).parents[2] / "kits"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "vocab_size": 32000,
}
SEVEN_BILLION = 6_738_415_616
WEIGHTS = {"model.weight": ("F16", [SEVEN_BILLION], SEVEN_BILLION * 2)}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path, safetensors_head):
    """A model's folder; its weights are a header, and nothing but a hole behind it."""
    path = tmp_path / "model"
    path.mkdir()
    head, size_bytes = safetensors_head(WEIGHTS)
    with (path / "model.safetensors").open("wb") as file:
        file.write(head)
        file.truncate(size_bytes)
    (path / "config.json").write_text(json.dumps(CONFIG))
    return path


def gguf(architecture="llama", *, tensors=1):
    """Make a GGUF file: metadata, and one tensor of 64 numbers in 16 bit."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    numbers = {
        "block_count": 4,
        "embedding_length": 64,
        "attention.head_count": 4,
        "context_length": 128,
        "vocab_size": 100,
    }
    entries = [text("general.architecture") + struct.pack("<I", 8) + text(architecture)]
    entries += [
        text(f"{architecture}.{name}") + struct.pack("<II", 4, number)
        for name, number in numbers.items()
    ]
    infos = [text("a") + struct.pack("<IQIQ", 1, 64, 1, 0)] * tensors
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(entries))
    body = head + b"".join(entries) + b"".join(infos)
    return body + bytes(-len(body) % 32) + bytes(128)


def test_a_folder_is_read_by_its_headers(folder, home):
    """Thirteen GB that are not there are counted to the byte; vLLM is what serves them."""
    report = estimate_target(EstimateRequest(str(folder)), home)
    assert report.setting.engine.name == "vllm"
    assert report.setting.context_tokens == 4096
    assert report.found.terms[0].likely_bytes == SEVEN_BILLION * 2
    verdicts = {item.card.name: item.fit.value for item in report.cards}
    assert verdicts["RTX 3060"] == "does-not-fit"
    assert verdicts["A100 80GB"] == "fits"
    assert report.room is None


def test_a_file_is_read_with_the_config_beside_it(folder, home):
    """And refused without."""
    target = str(folder / "model.safetensors")
    report = estimate_target(EstimateRequest(target), home)
    assert report.shape.layers == 32
    (folder / "config.json").unlink()
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest(target), home)
    assert caught.value.problems[0].code == "ESTIMATE_UNKNOWN"


def test_a_gguf_file_says_everything_itself(tmp_path, home):
    """llama.cpp serves it."""
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf())
    report = estimate_target(EstimateRequest(str(path), memory_bytes=2**34), home)
    assert report.setting.engine.name == "llama-cpp"
    assert report.setting.context_tokens == 128
    assert report.room is not None
    assert report.room.fit.value == "fits"
    assert report.room.context.sure == 128


def test_a_kit_is_estimated_from_its_lock(home):
    """By the engine, the length and the concurrency that it pins; no GPU is spoken of."""
    kit = KITS / "sbert-minilm"
    report = estimate_target(EstimateRequest(str(kit)), home)
    setting = report.setting
    assert (setting.engine.name, setting.context_tokens, setting.concurrency) == ("onnx", 256, 8)
    assert not report.shape.generates
    assert report.cards == ()


@pytest.fixture(scope="module")
def on_processors(tmp_path_factory):
    """A copy of the kit on vLLM's build for CPUs, with the wheel that it pins."""
    return copy_with_wheel(KITS / "tiny-chat-vllm", tmp_path_factory.mktemp("kits"))


def test_a_kit_on_processors_is_compared_with_its_reserved_cache(on_processors, home):
    """vLLM itself logs 327.50 requests of 512 tokens for it, and never uses one of the blocks."""
    asked = EstimateRequest(
        str(on_processors),
        memory_bytes=8 * 2**30,
        allowed=(on_processors.parent / "tiny-llama", WHEELS),
    )
    report = estimate_target(asked, home)
    assert (report.setting.kv_dtype, report.setting.float_bytes) == ("f32", 4)
    assert report.setting.batched_tokens == 512
    assert report.reserved is not None
    assert report.reserved.space_bytes == 2**30
    assert (report.reserved.context.sure, report.reserved.concurrency.sure) == (512, 327)
    assert report.room is not None
    assert (report.room.usable_bytes, report.room.fit.value) == (8 * 2**30, "fits")
    assert (report.room.context, report.room.concurrency) == (None, None)
    assert report.cards == ()
    longer = estimate_target(replace(asked, context_tokens=2**20), home)
    assert longer.reserved.fit.value == "does-not-fit"
    for on_gpus in (
        replace(asked, memory_bytes=None, gpu="T4"),
        replace(asked, tensor_parallel=2),
    ):  # the same model on other devices, without the processors' cache and processes
        found = estimate_target(on_gpus, home)
        assert (found.reserved, found.setting.cache_space_bytes) == (None, None)
        assert "processes" not in {term.name for term in found.found.terms}
        assert found.room.context.sure == 512


def test_the_command_shows_the_reserved_cache(on_processors):
    """Beside the memory of the processes; no GPU is spoken of."""
    command = [on_processors]
    for folder in (on_processors.parent / "tiny-llama", WHEELS):
        command += ["--allow-folder", folder]
    result = run(*command)
    assert result.exit_code == 0, result.output
    for words in ("on processors", "processes", "reserved cache 1.0 GiB: fits", "in all"):
        assert words in result.stdout
    assert "GPU" not in result.stdout
    form = json.loads(run(*command, "--json").stdout)
    assert form["reserved_cache"]["largest_concurrency"] == {"sure": 327, "likely": 327}


def test_a_kit_without_a_lock_is_refused(home, tmp_path):
    """Nothing is known of its weights yet."""
    kit = KITS / "sbert-minilm"
    copy = shutil.copytree(kit, tmp_path / "kit", ignore=shutil.ignore_patterns("kit.lock"))
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest(str(copy)), home)
    assert caught.value.problems[0].code == "LOCK_MISSING"


def test_several_gguf_models_are_not_added_up(tmp_path, home):
    """Parts of one are."""
    for name in ("a-00001-of-00002.gguf", "a-00002-of-00002.gguf"):
        (tmp_path / name).write_bytes(gguf())
    report = estimate_target(EstimateRequest(str(tmp_path)), home)
    assert report.found.terms[0].likely_bytes == 256
    (tmp_path / "b.gguf").write_bytes(gguf())
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest(str(tmp_path)), home)
    assert "several models" in caught.value.problems[0].message


def test_of_a_model_on_the_hub_only_headers_are_read(hub, home, safetensors_head):
    """Thirteen GB, a few KB sent."""
    head, size_bytes = safetensors_head(WEIGHTS)
    hub.claim("model.safetensors", head, size_bytes)
    hub.claim("consolidated.safetensors", head, size_bytes)
    hub.add("config.json", json.dumps(CONFIG).encode())
    report = estimate_target(EstimateRequest("hub:example/model", gpu="A100 80GB"), home)
    assert report.found.terms[0].likely_bytes == SEVEN_BILLION * 2
    assert report.room is not None
    assert report.room.fit.value == "fits"
    assert sum(item.sent_bytes for item in hub.seen) < 256 * 1024


def test_a_file_on_the_hub_can_be_named(hub, home):
    """Where a repository holds several."""
    for name in ("q4.gguf", "q8.gguf"):
        hub.add(name, gguf(), lfs=True)
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest("hub:example/model"), home)
    assert caught.value.problems[0].code == "ESTIMATE_UNKNOWN"
    for named in (
        *("example/model/q4.gguf@main", "example/model:Q4"),
        "https://huggingface.co/example/model/blob/main/q4.gguf",
    ):
        report = estimate_target(EstimateRequest(f"hub:{named}"), home)
        assert report.shape.layers == 4


@pytest.mark.parametrize(
    ("target", "code"),
    [("hub:model", "USAGE"), ("hub:example/model", "SOURCE_NOT_FOUND")],
)
def test_what_is_not_on_the_hub_is_refused(target, code, hub, home):
    """By its name, or because there are no weights."""
    hub.add("README.md", b"nothing")
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest(target), home)
    assert caught.value.problems[0].code == code


@pytest.mark.parametrize("config", ["[1]", "{", '{"hidden_size": 4096}'])
def test_a_config_that_says_nothing_is_refused(config, folder, home):
    """No map, no JSON, no layers."""
    (folder / "config.json").write_text(config)
    with pytest.raises(MealkitError):
        estimate_target(EstimateRequest(str(folder)), home)


def test_a_damaged_header_is_refused(folder, home):
    """One byte of its length is enough."""
    path = folder / "model.safetensors"
    with path.open("r+b") as file:
        file.write(b"\xff")
    with pytest.raises(MealkitError) as caught:
        estimate_target(EstimateRequest(str(folder)), home)
    assert caught.value.problems[0].code == "WEIGHTS_DAMAGED"


def test_on_a_terminal_the_terms_are_drawn(folder):
    """With rich's bars, one after the other: on a real terminal, for only there it draws them."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mealkit", "estimate", str(folder)]
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": ""}
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        drawn = _until_closed(ours)
    os.close(ours)
    assert process.returncode == 0
    assert "\u2588" in drawn
    assert "##" not in drawn


def _until_closed(terminal):
    """Return what is written to a terminal until nobody holds its other end."""
    found = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other end is closed
            return found.decode()
        if not piece:
            return found.decode()
        found += piece


def run(*arguments):
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def test_the_command_prints_terms_intervals_and_cards(folder):
    """With what each number comes from."""
    result = run(folder, "--context", 2048, "--concurrency", 2, "--gpu", "rtx4090")
    assert result.exit_code == 0, result.output
    for words in ("2 x 2048 tokens", "weights", "kv cache", "##", "largest context", "A100 80GB"):
        assert words in result.stdout
    assert "RTX 4090, 23.7 GiB, 21.4 GiB usable" in result.stdout
    assert "\033[" not in result.stdout


def test_the_command_prints_json(folder):
    """Whole, with every phase."""
    result = run(folder, "--json", "--engine", "transformers", "--memory", "24GiB")
    form = json.loads(result.stdout)
    assert form["gpu"]["memory_bytes"] == 24 * 2**30
    phases = [phase["name"] for phase in form["estimate"]["phases"]]
    assert phases == ["loading", "reading the prompt", "generating"]
    assert form["gpu"]["largest_context"]["likely"] == 4096
    verdicts = {item["verdict"] for item in form["gpus_known"]}
    assert verdicts == {"fits", "uncertain", "does-not-fit"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--memory", "24"], 2),
        (["--memory", "24GiB", "--gpu", "T4"], 2),
        (["--gpu", "Voodoo"], 10),
        (["--context", "0"], 2),
        (["--kv-dtype", "f64"], 2),
    ],
)
def test_options_that_cannot_be_used(options, code, folder):
    """Are refused before anything is read."""
    assert run(folder, *options).exit_code == code


def test_an_engine_without_a_formula_is_refused(home, folder):
    """With those that have one."""
    for engine in ("python", "house-made"):
        with pytest.raises(MealkitError) as caught:
            estimate_target(EstimateRequest(str(folder), engine=engine), home)
        (problem,) = caught.value.problems
        assert (problem.code, problem.hint) == (
            "USAGE",
            "name one of llama-cpp, onnx, transformers, vllm with --engine",
        )

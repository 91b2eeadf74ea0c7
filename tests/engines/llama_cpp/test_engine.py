"""What the build side takes, refuses and promises of a llama-cpp kit."""

from pathlib import Path

import pytest

from mealkit.assembly.shipped import shipped_library
from mealkit.engines.llama_cpp.engine import RECIPE
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.recipe.kit import Feature, Task

KIT = """
apiVersion: mealkit/v1
name: k
version: "1"
description: d
license: Apache-2.0
owner: {{team: t, contact: "https://example.org/k", support: s}}
model:
  name: m
  license: Apache-2.0
  task: {task}
  weights: [{{source: folder, path: ., files: [model.gguf]}}]
prompts: {{}}
hyperparameters: {hyperparameters}
runtime:
  engine: llama-cpp
  settings:
{settings}
  base: {{source: debian, suite: trixie}}
  python: "3.13"
hardware: {{gpu: none, architectures: [amd64]}}
serving: {{port: 8000}}
"""
ROOT = Path(__file__).parents[3]
WRITES = "{max_length: 512, max_tokens: 64}"
EMBEDS = "{max_length: 512, pooling: mean, normalize: true}"


@pytest.fixture
def parts(tmp_path):
    """Return what the engine makes of a kit."""

    def check(task, hyperparameters, *settings):
        lines = "\n".join(f"    {line}" for line in settings) or "    {}"
        text = KIT.format(task=task, hyperparameters=hyperparameters, settings=lines)
        (tmp_path / "kit.yaml").write_text(text)
        return check_engine_parts(load_kit(tmp_path))

    return check


def test_every_flag_is_written_in_full(parts):
    """What the kit leaves out stands in the lock all the same."""
    found = parts("generation", WRITES)
    assert found.problems == ()
    assert set(found.settings) == set(RECIPE.settings.model_fields)
    assert (found.settings["n_gpu_layers"], found.settings["repack"]) == (0, False)
    assert parts("embeddings", EMBEDS).problems == ()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["n_batch: 64"], "n_batch"),
        (["cache_type_v: q8_0"], "flash_attn"),
        (["n_parallel: 4"], "n_parallel"),
        (["model: ../outside.gguf"], "outside"),
        (["ctx_size: 512"], "ctx_size"),
    ],
    ids=str,
)
def test_flags_that_do_not_fit_are_refused(parts, settings, says):
    """Flags that contradict each other, or that there are not, are named with their line."""
    (found,) = parts("generation", WRITES, *settings).problems
    assert says in found.message
    assert "kit.yaml:" in found.where


def test_a_text_for_a_vector_must_fit_into_a_batch(parts):
    """Embeddings with a longer max_length than n_ubatch are refused before anything is built."""
    (found,) = parts("embeddings", EMBEDS, "n_batch: 512", "n_ubatch: 128").problems
    assert "n_ubatch is 128, but a text may have 512 tokens" in found.message
    assert parts("generation", WRITES, "n_batch: 512", "n_ubatch: 128").problems == ()


def test_features_follow_the_hyperparameters():
    """Without a template there is no chat, without a format of calls there are no tools."""
    chosen = {"chat_template": "model", "tool_calls": "hermes"}
    assert RECIPE.features(Task.GENERATION, chosen, {}) == frozenset(Feature)
    chosen = {"chat_template": "none", "tool_calls": "none"}
    assert RECIPE.features(Task.GENERATION, chosen, {}) == frozenset(Feature) - {
        Feature.CHAT,
        Feature.TOOLS,
    }
    assert RECIPE.features(Task.EMBEDDINGS, {}, {}) == {Feature.TOKENS}


def test_the_engines_folder_ships():
    """An engine's folder is its name with underscores; the image has its modules, not its recipe."""
    library = shipped_library("llama-cpp")
    assert "mealkit/engines/llama_cpp/worker.py" in library
    assert "mealkit/engines/llama_cpp/engine.py" not in library
    assert "mealkit/engines/onnx/worker.py" not in library


@pytest.mark.parametrize(
    "name", ["build_wheel.sh", "wheel-tools.txt", "wheel-source.txt", "wheel.sha256"]
)
def test_a_new_kit_compiles_what_the_example_does(name):
    """``mealkit new --engine llama-cpp`` gives the files that make the same wheel."""
    example = ROOT / "kits/tiny-chat-llama-cpp" / name
    assert (ROOT / "mealkit/engines/llama_cpp/new" / name).read_bytes() == example.read_bytes()

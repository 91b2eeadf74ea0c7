"""Kits from a Hub on loopback, through its real client, and from real files; each one holds."""

import json
from pathlib import Path

import pytest
from fakes.gguf import write_gguf
from fakes.graphs import graph_with_data
from fakes.hub_server import COMMIT, hub_in_use

from mealkit.assembly.prompt_check import prompt_problems
from mealkit.engines.typed_parts import check_engine_parts
from mealkit.errors import MealkitError
from mealkit.kit.load import load_kit
from mealkit.pipeline.kit.importing import import_kit
from mealkit.sources.download import Downloader
from mealkit.sources.file_cache import FileCache
from mealkit.sources.retrieval import fetch_weights
from mealkit.sources.source import Supplies
from mealkit.sources.weights import resolve_weights
from mealkit.web.http_client import open_client

TINY = Path(__file__).parents[2] / "kits" / "tiny-llama"
GRAPH = TINY.parent / "tiny-chat-onnx" / "graph"


@pytest.fixture
def hub(monkeypatch):
    """A Hub that HF_ENDPOINT points to, with the repository example/model."""
    with hub_in_use(monkeypatch) as server:
        yield server


def add_tiny(hub, *, card="---\nlicense: psf-2.0\n---\n"):
    for path in sorted(TINY.iterdir()):
        if path.name != "README.md":
            large = path.suffix in {".safetensors", ".gguf"}
            hub.add(path.name, path.read_bytes(), lfs=large)
    hub.add("README.md", card.encode())


def assert_holds(made):
    loaded = load_kit(made.path, allowed=[TINY])
    assert check_engine_parts(loaded).problems == ()
    texts = {
        name: (made.path.parent / prompt.file).read_text()
        for name, prompt in loaded.kit.prompts.items()
    }
    assert prompt_problems(loaded.kit, texts) == []
    return loaded.kit


def test_a_generator_of_the_hub(hub, home, tmp_path):
    """The branch is pinned to its commit, and of the weights nothing is read."""
    add_tiny(hub)
    made = import_kit(tmp_path / "tiny", "hub", "example/model", engine=None, home=home)
    kit = assert_holds(made)
    assert made.engine == "transformers"
    assert kit.model.weights[0].revision == COMMIT
    assert kit.hyperparameters["max_length"] == 512
    assert kit.hyperparameters["chat_template"] == "model"
    assert kit.model.license == "LicenseRef-psf-2.0"
    assert hub.downloads("model.safetensors") == []
    assert COMMIT in made.path.read_text()


def test_results_of_the_hub_become_claims(hub, home, tmp_path):
    """The card and the result files are read at the commit, and each claim names its file."""
    card = """---
license: mit
model-index:
- name: tiny
  results:
  - task: {type: text-generation}
    dataset: {name: "<b>Stories</b>", type: example/stories}
    metrics:
    - {type: accuracy, value: 61.5}
    - {type: perplexity, value: 12.1}
---
"""
    add_tiny(hub, card=card)
    results = "- dataset: {id: TIGER-Lab/MMLU-Pro, task_id: mmlu_pro}\n  value: 0.25\n"
    hub.add(".eval_results/mmlu.yaml", results.encode())
    hub.add(".eval_results/deeper/x.yaml", results.encode())
    made = import_kit(tmp_path / "tiny", "hub", "example/model", engine=None, home=home)
    kit = assert_holds(made)
    assert [(item.name, item.value, item.data) for item in kit.claims] == [
        ("tiger-lab-mmlu-pro-accuracy", 0.25, None),
        ("b-stories-b-accuracy", 0.615, None),
    ]
    place = f"{hub.url}/example/model/blob/{COMMIT}"
    assert kit.claims[0].url == f"{place}/.eval_results/mmlu.yaml"
    assert kit.claims[1].url == f"{place}/README.md"
    text = made.path.read_text()
    assert "# Stated as 61.5, which was taken as a percentage, because it is larger than 1." in text
    assert "# Stated by the model's publisher, and not measured" in text
    said = [item.sentence for item in made.left_out]
    assert any("perplexity on" in item and "does not have the metric" in item for item in said)
    # As code, no reader of Markdown takes it for HTML.
    assert "`results: perplexity on <b>Stories</b>`" in (made.path.parent / "README.md").read_text()


@pytest.mark.parametrize(
    ("source", "engine", "picked"),
    [
        ("example/model@main", "vllm", "vllm"),
        ("example/model/tiny-f16.gguf", None, "llama-cpp"),
        ("https://huggingface.co/example/model/blob/main/tiny-f16.gguf", None, "llama-cpp"),
        ("hf.co/example/model:F16", None, "llama-cpp"),
        ("https://huggingface.co/example/model/tree/main/", None, "transformers"),
        ("example/model", "llama-cpp", "llama-cpp"),
    ],
)
def test_the_engine_and_the_file_can_be_named(hub, home, tmp_path, source, engine, picked):
    """A repository with both formats makes either kit; the GGUF's header tells its context."""
    add_tiny(hub)
    made = import_kit(tmp_path / "tiny", "hub", source, engine=engine, home=home)
    kit = assert_holds(made)
    assert made.engine == kit.runtime.engine == picked
    assert kit.hyperparameters["max_length"] == 512
    assert kit.hyperparameters["chat_template"] == "model"


def test_a_graph_of_the_hub(hub, home, tmp_path):
    """As they are published: the description, the graph, and its numbers in a file of their own."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        hub.add(name, (TINY / name).read_bytes())
    hub.add("genai_config.json", (GRAPH / "genai_config.json").read_bytes())
    hub.add("model.onnx", graph_with_data("model.onnx.data"))
    hub.add("model.onnx.data", bytes(1_000_000), lfs=True)
    made = import_kit(tmp_path / "tiny", "hub", "example/model", engine=None, home=home)
    kit = assert_holds(made)
    assert (made.engine, kit.runtime.settings) == ("onnx", {"graph": "model.onnx"})
    with open_client() as client:
        supplies = Supplies(Downloader(FileCache(home.files), client))
        files, _, _ = resolve_weights(made.path.parent, kit.model, supplies)
        formats = {file.path: file.format for file in files}
        assert formats["model.onnx.data"] == "onnx-data"
        assert sum(seen.sent_bytes for seen in hub.downloads("model.onnx.data")) < 100_000
        assert len(fetch_weights(made.path.parent, kit.model, files, supplies)) == len(files)


def test_an_encoder_of_the_hub(hub, home, tmp_path):
    """sentence-transformers' own files decide how vectors are made."""
    modules = [
        {"type": f"sentence_transformers.models.{name}", "path": path}
        for name, path in (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2"))
    ]
    hub.add("modules.json", json.dumps(modules).encode())
    hub.add("1_Pooling/config.json", json.dumps({"pooling_mode_cls_token": True}).encode())
    hub.add("config.json", b'{"architectures": ["BertModel"], "max_position_embeddings": 128}')
    hub.add("tokenizer.json", b"{}")
    hub.claim("model.safetensors", b"", 90_000_000)
    prompts = {"prompts": {"query": "Find {{ this }}: "}}
    hub.add("config_sentence_transformers.json", json.dumps(prompts).encode())
    made = import_kit(tmp_path / "bert", "hub", "example/model", engine=None, home=home)
    kit = assert_holds(made)
    assert kit.hyperparameters == {"pooling": "cls", "max_length": 128, "normalize": True}
    assert "1_Pooling/config.json" in kit.model.weights[0].files


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("nobody/nothing", "SOURCE_NOT_FOUND"),
        ("example/model@0000000000000000000000000000000000000000", "SOURCE_NOT_FOUND"),
        ("example", "USAGE"),
        ("example/", "USAGE"),
        ("example/two words", "USAGE"),
        ("./a-folder", "USAGE"),
        ("https://huggingface.co/datasets/example/model", "USAGE"),
        ("example/model:Q4_K_M", "USAGE"),
        ("example/model/nothing.gguf", "USAGE"),
        ("example/model/model.safetensors", "USAGE"),
    ],
)
def test_what_the_hub_does_not_have(hub, home, tmp_path, source, code):
    """Nothing is written, and the source is named."""
    add_tiny(hub)
    with pytest.raises(MealkitError) as caught:
        import_kit(tmp_path / "tiny", "hub", source, engine=None, home=home)
    assert caught.value.problems[0].code == code
    assert not (tmp_path / "tiny").exists()


def test_a_hub_that_cannot_be_asked(home, tmp_path, hub):
    """Whoever runs the network is told."""
    hub.stop()
    with pytest.raises(MealkitError) as caught:
        import_kit(tmp_path / "tiny", "hub", "example/model", engine=None, home=home)
    assert caught.value.problems[0].code == "SOURCE_UNREACHABLE"


def test_configs_that_are_damaged(hub, home, tmp_path):
    """What cannot be read says nothing: the kit lists what is not known."""
    for name in ("generation_config.json", "tokenizer_config.json", "modules.json"):
        hub.add(name, b'{"a": [')
    del hub.files["modules.json"]
    hub.add("config.json", b'{"architectures": ["LlamaForCausalLM"]}')
    hub.claim("model.safetensors", b"", 1000)
    made = import_kit(tmp_path / "tiny", "hub", "example/model", engine=None, home=home)
    assert_holds(made)
    assert {item.what for item in made.left_out} >= {
        *("the context", "the licence of the weights"),
        *("generation_config.json", "tokenizer_config.json"),
    }


def test_a_tokenizer_of_mistral(hub, home, tmp_path):
    """vLLM reads it, and it writes the chats."""
    hub.add("config.json", b'\xef\xbb\xbf{"architectures": ["MistralForCausalLM"]}')
    hub.claim("model.safetensors", b"", 9_000_000_000)
    hub.claim("tekken.json", b"", 19_000_000)
    made = import_kit(tmp_path / "kit", "hub", "example/model", engine=None, home=home)
    kit = assert_holds(made)
    assert kit.model.weights[0].files == ("model.safetensors", "config.json", "tekken.json")
    assert kit.runtime.settings["tokenizer_mode"] == "mistral"
    assert kit.hyperparameters["chat_template"] == "model"


def test_a_hub_that_serves_pointers(hub, home, tmp_path):
    """A mirror without Git LFS has no model's files."""
    hub.add("config.json", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    hub.claim("model.safetensors", b"", 1000)
    with pytest.raises(MealkitError, match=r"config\.json is a Git LFS pointer") as caught:
        import_kit(tmp_path / "kit", "hub", "example/model", engine=None, home=home)
    assert caught.value.problems[0].code == "SOURCE_ANSWER"


def test_a_modelfile(home, tmp_path):
    """The real GGUF's context and template go with what the Modelfile says."""
    (tmp_path / "Modelfile").write_text(
        f'FROM {TINY / "tiny-f16.gguf"}\nPARAMETER num_ctx 128\nSYSTEM """Be {{ brief }}."""\n'
    )
    source = str(tmp_path / "Modelfile")
    made = import_kit(tmp_path / "tiny", "modelfile", source, engine=None, home=home)
    kit = assert_holds(made)
    assert kit.runtime.engine == "llama-cpp"
    assert kit.hyperparameters["max_length"] == 128
    assert kit.hyperparameters["chat_template"] == "model"
    assert kit.system_prompt.placement == "default"
    assert (made.path.parent / "wheels" / "README.md").is_file()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FROM missing.gguf", "KIT_FILE_MISSING"),
        ("FROM .", "KIT_FILE_MISSING"),
        ("FROM ./Modelfile", "WEIGHTS_FORMAT"),
        ("FROM ./cut.gguf", "WEIGHTS_DAMAGED"),
        (f"FROM {'x' * 5000}.gguf\n", "KIT_FILE_MISSING"),
        ("FROM llama3.2", "KIT_INVALID"),
    ],
)
def test_modelfiles_without_a_model(home, tmp_path, text, code):
    """A file that is not there, or is no whole GGUF, is named; nothing is written."""
    (tmp_path / "Modelfile").write_text(text)
    (tmp_path / "cut.gguf").write_bytes((TINY / "tiny-f16.gguf").read_bytes()[:5000])
    source = str(tmp_path / "Modelfile")
    with pytest.raises(MealkitError) as caught:
        import_kit(tmp_path / "tiny", "modelfile", source, engine=None, home=home)
    assert caught.value.problems[0].code == code
    assert not (tmp_path / "tiny").exists()


def written_gguf(path, **more):
    keys = {"general.architecture": "llama", "llama.context_length": 2048, **more}
    write_gguf(path, {name.replace("__", "."): value for name, value in keys.items()}, {})


def test_a_modelfile_in_utf_16_and_a_long_template(home, tmp_path):
    """The template of many models is longer than four kilobytes."""
    written_gguf(tmp_path / "m.gguf", tokenizer__chat_template="{{ messages }}" * 1000)
    text = 'FROM ./m.gguf\r\nSYSTEM "Be brief.\r\nNever guess."\r\n'
    (tmp_path / "Modelfile").write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    source = str(tmp_path / "Modelfile")
    made = import_kit(tmp_path / "kit", "modelfile", source, engine=None, home=home)
    kit = load_kit(made.path, allowed=[tmp_path]).kit
    assert kit.hyperparameters["chat_template"] == "model"
    assert (
        made.path.parent / "prompts" / "system.jinja"
    ).read_text() == "Be brief.\nNever guess.\n"


def test_a_modelfile_of_a_gguf_in_parts(home, tmp_path):
    """All parts are in the kit, also where FROM names one; a missing one is refused."""
    for number in (1, 2):
        name = f"big-0000{number}-of-00002.gguf"
        written_gguf(tmp_path / name, split__no=number - 1, split__count=2)
    (tmp_path / "Modelfile").write_text("FROM ./big-00001-of-00002.gguf\n")
    source = str(tmp_path / "Modelfile")
    made = import_kit(tmp_path / "kit", "modelfile", source, engine=None, home=home)
    (entry,) = load_kit(made.path, allowed=[tmp_path]).kit.model.weights
    assert entry.files == ("big-00001-of-00002.gguf", "big-00002-of-00002.gguf")
    (tmp_path / "big-00002-of-00002.gguf").unlink()
    with pytest.raises(MealkitError, match=r"big-00002-of-00002\.gguf, which does not exist"):
        import_kit(tmp_path / "other", "modelfile", source, engine=None, home=home)


def test_a_git_lfs_pointer_is_not_a_gguf(home, tmp_path):
    """The hint says how to get the file."""
    (tmp_path / "m.gguf").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "Modelfile").write_text("FROM ./m.gguf\n")
    source = str(tmp_path / "Modelfile")
    with pytest.raises(MealkitError, match="Git LFS pointer") as caught:
        import_kit(tmp_path / "kit", "modelfile", source, engine=None, home=home)
    assert "git lfs pull" in caught.value.problems[0].hint


def test_a_modelfile_that_cannot_be_read(home, tmp_path):
    """Neither nothing nor bytes that are no text."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("missing", "binary"):
        source = str(tmp_path / name)
        with pytest.raises(MealkitError, match="cannot be read"):
            import_kit(tmp_path / "tiny", "modelfile", source, engine=None, home=home)

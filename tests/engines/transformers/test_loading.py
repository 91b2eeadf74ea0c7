"""What stops a start: files that are damaged or missing, code that is not allowed, no GPU."""

import json
import struct

import pytest
from engines.transformers.conftest import edited

OWN_CONFIG = """
from transformers import LlamaConfig


class OwnConfig(LlamaConfig):
    model_type = "own-llama"
"""
OWN_MODEL = """
from transformers import LlamaForCausalLM

from .configuration_own import OwnConfig


class OwnLlama(LlamaForCausalLM):
    config_class = OwnConfig
"""
GREEDY = """
    def forward(self, input_ids, **options):
        if input_ids.shape[1] > 3:
            import torch

            torch.empty(2**60)  # beyond any address space, whatever the kernel promises
        return super().forward(input_ids, **options)
"""
AUTO_MAP = {
    "AutoConfig": "configuration_own.OwnConfig",
    "AutoModelForCausalLM": "modeling_own.OwnLlama",
}


@pytest.fixture
def tiny(tiny_llama, copied):
    """A copy of the tiny Llama, to damage."""
    return copied(tiny_llama)


@pytest.fixture
def own(tiny):
    """The tiny Llama as a model that brings its own code."""
    (tiny / "configuration_own.py").write_text(OWN_CONFIG)
    (tiny / "modeling_own.py").write_text(OWN_MODEL)
    edited(tiny / "config.json", model_type="own-llama", auto_map=AUTO_MAP)
    return tiny


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(worker, tiny, name):
    """Without its config or its weights a model does not load, and the file is named."""
    (tiny / name).unlink()
    problem = worker.load_problem(tiny, "generation")
    assert (problem["code"], problem["where"]) == ("WEIGHTS_MISSING", str(tiny / name))


def test_a_missing_part_of_the_weights_is_named(worker, tiny):
    """Of weights in several files, every one that the index names must be there."""
    (tiny / "model.safetensors").rename(tiny / "model-00001-of-00002.safetensors")
    parts = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tiny / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "WEIGHTS_MISSING"
    assert problem["where"] == str(tiny / "model-00002-of-00002.safetensors")


def test_weights_in_several_files_are_one_model(worker, tiny, tiny_llama):
    """A model that is split, with an index, answers as the whole one does."""
    content = (tiny / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    header.pop("__metadata__", None)
    names, parts = sorted(header), {}
    for number, chosen in enumerate((names[::2], names[1::2]), start=1):
        found, held = {}, b""
        for name in chosen:
            begin, end = header[name]["data_offsets"]
            place = [len(held), len(held) + end - begin]
            found[name] = {**header[name], "data_offsets": place}
            held += data[begin:end]
            parts[name] = f"model-0000{number}-of-00002.safetensors"
        written = json.dumps(found).encode()
        size = struct.pack("<Q", len(written))
        (tiny / f"model-0000{number}-of-00002.safetensors").write_bytes(size + written + held)
    (tiny / "model.safetensors").unlink()
    index = {"metadata": {"total_size": len(data)}, "weight_map": parts}
    (tiny / "model.safetensors.index.json").write_text(json.dumps(index))
    found = worker.load(tiny, "generation")("greedy", [1, 5, 9], 20)
    assert found == worker.load(tiny_llama, "generation")("greedy", [1, 5, 9], 20)


@pytest.mark.parametrize("left", [0, 4, 0.001, 0.5, 0.999999])
def test_weights_that_were_cut_short_do_not_load(worker, tiny, left):
    """Half a file, or an empty one, is an engine that does not start, with the library's words."""
    content = (tiny / "model.safetensors").read_bytes()
    kept = left if isinstance(left, int) else int(len(content) * left)
    (tiny / "model.safetensors").write_bytes(content[:kept])
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert "Safetensor" in problem["message"] or "header" in problem["message"]


@pytest.mark.parametrize("place", [0, 7, 8, 40])
def test_a_flipped_byte_of_the_header_does_not_load(worker, tiny, place):
    """A header that contradicts itself is refused; of the numbers only their digest can tell."""
    content = bytearray((tiny / "model.safetensors").read_bytes())
    content[place] ^= 0x41
    (tiny / "model.safetensors").write_bytes(content)
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert "while it loaded the model" in problem["message"]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_file_that_is_no_json_object_is_named(worker, tiny, name, content):
    """What the model is described with must be readable."""
    (tiny / name).write_bytes(content)
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert name in problem["message"] + problem["where"]


def test_tensors_that_the_weights_lack_are_named(worker, tiny):
    """transformers would draw them at random; here the start fails."""
    content = (tiny / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length].replace(b"layers.4.mlp.up_proj", b"layers.4.mlp.no_proj")
    (tiny / "model.safetensors").write_bytes(content[:8] + header + content[8 + length :])
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert "model.layers.4.mlp.up_proj.weight" in problem["message"]


def test_tensors_of_another_shape_stop_the_start(worker, tiny):
    """A config that contradicts the weights is an engine that does not start."""
    edited(tiny / "config.json", intermediate_size=440)
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"


def test_an_unknown_type_of_model_is_refused_in_the_librarys_words(worker, tiny):
    """A model that the pinned transformers does not know is named."""
    edited(tiny / "config.json", model_type="kitchen")
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert "kitchen" in problem["message"]


def test_an_adapter_is_refused(worker, tiny):
    """transformers would omit it silently."""
    (tiny / "adapter_config.json").write_text("{}")
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"
    assert "adapter" in problem["message"]


def test_the_tokenizer_may_lie_in_older_files(worker, minilm_files, copied):
    """Without tokenizer.json, transformers makes one of vocab.txt, and the tokens are the same."""
    folder = copied(minilm_files)
    expected = worker.load(folder, "embeddings")("tokenize", "Hello, wörld!")
    (folder / "tokenizer.json").unlink()
    assert worker.load(folder, "embeddings")("tokenize", "Hello, wörld!") == expected


def test_no_tokenizer_at_all_stops_the_start(worker, tiny):
    """A model whose tokenizer was left out is refused."""
    (tiny / "tokenizer.json").unlink()
    problem = worker.load_problem(tiny, "generation")
    assert problem["code"] == "ENGINE_START"


def test_a_gpu_that_is_not_there_is_no_cpu(worker, tiny):
    """device cuda without CUDA is the hardware's problem, never a slow answer."""
    problem = worker.load_problem(tiny, "generation", device="cuda")
    assert (problem["code"], problem["owner"]) == ("HW_NO_GPU", "hardware")
    assert "no CUDA at all" in problem["message"]


def test_pinned_code_runs_when_it_is_trusted(worker, own, tiny_llama):
    """A model's own class, in files beside its weights, gives the answers that it computes."""
    found = worker.load(own, "generation", trust_remote_code=True)("greedy", [1, 5, 9], 20)
    assert found == worker.load(tiny_llama, "generation")("greedy", [1, 5, 9], 20)


def test_code_does_not_run_unless_it_is_trusted(worker, own):
    """The refusal names the code, and where to allow it."""
    (own / "modeling_own.py").write_text("raise SystemExit('it ran')")
    problem = worker.load_problem(own, "generation")
    assert problem["code"] == "ENGINE_REMOTE_CODE"
    assert "modeling_own.OwnLlama" in problem["message"]
    assert problem["where"] == "settings.trust_remote_code"


def test_a_model_that_the_engine_knows_needs_no_code(worker, own, tiny_llama):
    """Where transformers has code of its own, that of the model is left alone."""
    (own / "modeling_own.py").write_text("raise SystemExit('it ran')")
    edited(own / "config.json", model_type="llama")
    found = worker.load(own, "generation")("greedy", [1, 5, 9], 20)
    assert found == worker.load(tiny_llama, "generation")("greedy", [1, 5, 9], 20)


@pytest.mark.parametrize("name", ["configuration_own.py", "modeling_own.py"])
def test_code_that_is_not_pinned_beside_the_weights_is_missing(worker, own, name):
    """Trust is in the files below /models, each with its digest in the lock."""
    (own / name).unlink()
    problem = worker.load_problem(own, "generation", trust_remote_code=True)
    assert (problem["code"], problem["where"]) == ("WEIGHTS_MISSING", str(own / name))


def test_code_from_another_repository_is_refused(worker, own):
    """It would be fetched, and could change under the kit."""
    code = {**AUTO_MAP, "AutoModelForCausalLM": "someone/other--modeling_own.OwnLlama"}
    edited(own / "config.json", auto_map=code)
    problem = worker.load_problem(own, "generation", trust_remote_code=True)
    assert problem["code"] == "ENGINE_REMOTE_CODE"
    assert "someone/other" in problem["message"]


def test_code_that_fails_is_an_engine_that_does_not_start(worker, own):
    """An error of the model's own code is reported unchanged."""
    # A type of its own: the process remembers the classes of the types that it has loaded.
    (own / "configuration_own.py").write_text(OWN_CONFIG.replace("own-llama", "failing"))
    (own / "modeling_own.py").write_text(OWN_MODEL + "\n\nraise ZeroDivisionError('own')\n")
    edited(own / "config.json", model_type="failing")
    problem = worker.load_problem(own, "generation", trust_remote_code=True)
    assert problem["code"] == "ENGINE_START"
    assert "ZeroDivisionError: own" in problem["message"]


def test_memory_that_runs_out_is_told_as_such(worker, own):
    """A request that the machine has no memory for is refused in torch's words; the next is not."""
    (own / "configuration_own.py").write_text(OWN_CONFIG.replace("own-llama", "greedy"))
    (own / "modeling_own.py").write_text(OWN_MODEL + GREEDY)
    edited(own / "config.json", model_type="greedy")
    worker.load(own, "generation", trust_remote_code=True)
    problem = worker.problem("greedy", [1, 5, 9, 7], 1)
    assert (problem["code"], problem["owner"]) == ("ENGINE_OUT_OF_MEMORY", "platform")
    assert "while it read 4 tokens" in problem["message"]
    assert "tried to allocate 4611686018427387904 bytes" in problem["message"]
    assert len(worker("greedy", [1, 5, 9], 5)["tokens"]) == 5

"""The kit of a GPU server: it locks where its Hub is, and its lock tells what machine it needs."""

import json
import re
import shutil
import struct
from pathlib import Path

import pytest
from fakes import hub_server
from fakes.engines import report_of
from fakes.gpu_servers import BLOCKS, PASSES, WARNS, severity
from fakes.little import OFFLINE, Heard
from fakes.machines import MACHINES, facts_of, machine, made_facts

from mealkit.engines.typed_parts import check_engine_parts
from mealkit.kit.load import load_kit
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.recipe.lock import read_lock

KIT = Path(__file__).parents[2] / "kits" / "qwen2.5-7b-vllm"
REPO = "Qwen/Qwen2.5-7B-Instruct"
COMMIT = "a09a35458c702b33eeacc393d103063234e8bc28"

# The model's own config.json, and what a public checkpoint index adds its tensors up to.
CONFIG = {
    "architectures": ["Qwen2ForCausalLM"],
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "max_position_embeddings": 32768,
    "model_type": "qwen2",
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 152064,
}
PARAMETERS = 7_615_616_512


def tensors():
    """Names and shapes of a Qwen2 of this config."""
    hidden, wide, kv = 3584, 18944, 512
    yield "model.embed_tokens.weight", [152064, hidden]
    for layer in range(28):
        at = f"model.layers.{layer}"
        for name, rows in (("q", hidden), ("k", kv), ("v", kv)):
            yield f"{at}.self_attn.{name}_proj.weight", [rows, hidden]
            yield f"{at}.self_attn.{name}_proj.bias", [rows]
        yield f"{at}.self_attn.o_proj.weight", [hidden, hidden]
        yield f"{at}.mlp.gate_proj.weight", [wide, hidden]
        yield f"{at}.mlp.up_proj.weight", [wide, hidden]
        yield f"{at}.mlp.down_proj.weight", [hidden, wide]
        yield f"{at}.input_layernorm.weight", [hidden]
        yield f"{at}.post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    yield "lm_head.weight", [152064, hidden]


def shard(items):
    """The head of a safetensors file of bfloat16, and the size that the whole file has."""
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in items:
        count = 1
        for length in shape:
            count *= length
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + 2 * count]}
        end += 2 * count
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text, 8 + len(text) + end


def fill(hub):
    every = list(tensors())
    names = [f"model-{number:05}-of-00004.safetensors" for number in range(1, 5)]
    for number, name in enumerate(names):
        hub.claim(name, *shard(every[number * 100 : (number + 1) * 100]))
    index = {"weight_map": {key: names[at // 100] for at, (key, _) in enumerate(every)}}
    hub.add("model.safetensors.index.json", json.dumps(index).encode())
    hub.add("config.json", json.dumps(CONFIG).encode())
    for name in ("generation_config.json", "tokenizer_config.json", "vocab.json", "tokenizer.json"):
        hub.add(name, b'{"a": 1}')
    hub.add("merges.txt", b"a b\n")


@pytest.fixture
def hub(monkeypatch):
    """A Hub with the repository that the kit names, at the commit that it names."""
    monkeypatch.setattr(hub_server, "REPO", REPO)
    monkeypatch.setattr(hub_server, "COMMIT", COMMIT)
    with hub_server.hub_in_use(monkeypatch) as server:
        fill(server)
        yield server


@pytest.fixture
def kit(tmp_path):
    """A copy of the kit, as it lies in the repository."""
    folder = tmp_path / "kit"
    folder.mkdir()
    shutil.copy(KIT / "kit.yaml", folder)
    return folder


def test_the_kit_holds():
    """As it lies in the repository."""
    loaded = load_kit(KIT / "kit.yaml")
    assert check_engine_parts(loaded).problems == ()
    weights = loaded.kit.model.weights[0]
    assert (weights.repo, weights.revision) == (REPO, COMMIT)


def lock(folder, tmp_path):
    lock_kit(folder, upgrade=frozenset(), home=home_at(tmp_path / "home"), progress=Heard())
    return read_lock((folder / "kit.lock").read_bytes())


@pytest.fixture
def index(monkeypatch):
    """The package index of this machine, which other tests here do without."""
    for name in OFFLINE:
        monkeypatch.delenv(name)


@pytest.mark.online
@pytest.mark.usefixtures("index")
def test_it_locks_with_the_packages_of_the_index(hub, kit, tmp_path):
    """vLLM and everything of CUDA resolve by their metadata; of the weights headers are read."""
    locked = lock(kit, tmp_path)
    versions = {item.name: item.version for item in locked.engine.packages}
    assert versions["vllm"].startswith(("0.32.", "0.33."))
    assert versions.keys() >= {"torch", "triton", "flashinfer-python"}
    debs = {item.name for item in locked.runtime.base.packages}
    assert debs >= {"g++", "gcc", "libc6-dev", "libpython3.13-dev", "binutils"}
    assert locked.model.shape.parameters == PARAMETERS
    assert sum(item.size_bytes for item in locked.model.files) > 2 * PARAMETERS
    assert hub.sent_bytes < 1_000_000
    assert locked.requirements.cuda == "13.0"
    assert locked.requirements.demand.context_tokens == 32768
    told = {name: verdict(locked, name) for name in ("h100x8", "v100-old-driver", "no-gpu")}
    assert told == {
        "h100x8": {"HOST_DRIVER_OLD"},
        "v100-old-driver": {"HOST_DRIVER_OLD", "HW_ARCHLIST", "HW_DTYPE"},
        "no-gpu": {"HOST_DRIVER_OLD", "HW_NO_GPU"},
    }
    # The same H100s with a driver for CUDA 13: nothing stands in the way.
    text = (MACHINES / "h100x8.machine").read_text()
    newer = tmp_path / "newer.machine"
    newer.write_text(re.sub(r"(?m)^(driver\s*=\s*)\S+", r"\g<1>580.95.05", text) + DRIVER)
    facts = facts_of(newer, tmp_path / "newer")
    assert blockers(report_of(facts, locked.requirements)) == set()


DRIVER = "\ncuda = 13000\n"


def verdict(locked, name):
    return blockers(report_of(machine(name), locked.requirements))


def blockers(report):
    return {problem.code for problem in report.blockers}


@pytest.mark.parametrize(("total_gib", "expected"), [(8, PASSES), (3, WARNS), (1, BLOCKS)])
def test_the_kit_for_cpus_needs_main_memory(total_gib, expected):
    """Its weights, vLLM's processes and the reserved cache, which is certain, are told before."""
    lock = read_lock((KIT.parent / "tiny-chat-vllm" / "kit.lock").read_bytes())
    processes, cache = 3 * 2**30, 2**30
    for_weights = lock.requirements.memory_bytes - processes - cache
    assert 3 < for_weights / lock.weights_bytes < 4
    facts = made_facts(memory_total_bytes=total_gib * 2**30)
    assert severity("HOST_MEMORY", facts, lock.requirements) is expected

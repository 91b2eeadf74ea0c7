"""The estimate compared with real vLLM: small models with random weights, of many shapes.

What vLLM computes of weights and cache does not depend on the device, except for the block. Run
with ``-rP`` to see the numbers as a table.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fakes.engines import demand_of, estimate, memory_of, report_of, term
from fakes.machines import made_facts
from fakes.needs import cpu_needs

from mealkit.memory.setting import Setting
from mealkit.memory.shape import Shape
from mealkit.memory.terms import MIB, Term
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.model_shapes import find_model
from mealkit.preflight.finding import Severity
from mealkit.preflight.fit import largest_concurrency, largest_context
from mealkit.progress import SILENT
from mealkit.recipe.requirements import Demand

ROOT = Path(__file__).parents[3]
VLLM = ROOT / ".engines" / "vllm"
CONTEXT = 4096
BATCHED = 512
SPACE = 64 * MIB

pytestmark = [
    pytest.mark.xdist_group("vllm-shapes"),
    pytest.mark.skipif(
        not (VLLM / ".ready").exists(), reason="vLLM is not installed: make .engines/vllm/.ready"
    ),
]

COMMON = {
    "vocab_size": 2000,
    "hidden_size": 256,
    "intermediate_size": 704,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
TIED = {"tie_word_embeddings": True}
EXPERTS = {"moe_intermediate_size": 256, "num_experts": 8, "num_experts_per_tok": 2}
LATENT = {
    "kv_lora_rank": 128,
    "qk_rope_head_dim": 32,
    "qk_nope_head_dim": 64,
    "v_head_dim": 64,
    "n_routed_experts": 8,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": 256,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 8,
}
MAMBA = {"mamba_n_heads": 16, "mamba_d_head": 32, "mamba_d_state": 64, "mamba_n_groups": 1}


def case(
    name: str, model_type: str, stored: str = "bfloat16", flags: Any = None, **fields: Any
) -> dict[str, Any]:
    settings = {"dtype": "bfloat16", "kv_cache_dtype": "auto", **(flags or {})}
    return {
        "name": name,
        "stored": stored,
        "config": {**COMMON, "model_type": model_type, **fields},
        "space_bytes": SPACE,
        "flags": {
            **settings,
            "max_model_len": CONTEXT,
            "max_num_seqs": 8,
            "max_num_batched_tokens": BATCHED,
        },
    }


CASES = [
    case("Llama", "llama"),
    case("Llama, 8-bit cache", "llama", flags={"kv_cache_dtype": "fp8"}),
    case(
        "Llama, every head cached, tied", "llama", num_key_value_heads=8, tie_word_embeddings=True
    ),
    case("Llama, 32 bit", "llama", "float32", {"dtype": "float32"}),
    case("Llama, 32 bit cast to 16", "llama", "float32"),
    case("Qwen3, wide heads", "qwen3", head_dim=64),
    case("Phi", "phi", num_key_value_heads=8),
    case(
        "GPT-2",
        "gpt2",
        **TIED,
        n_embd=256,
        n_head=8,
        n_layer=4,
        n_positions=CONTEXT,
        num_key_value_heads=8,
        intermediate_size=1024,
    ),
    case("Mixtral", "mixtral", num_local_experts=8, num_experts_per_tok=2, sliding_window=None),
    case("Qwen2-MoE, shared expert", "qwen2_moe", **EXPERTS, shared_expert_intermediate_size=512),
    case("Mistral, windows", "mistral", sliding_window=512),
    case("Gemma 2, half with windows", "gemma2", **TIED, head_dim=64, sliding_window=512),
    case(
        "Gemma 3, 7 of 8 with windows",
        "gemma3_text",
        **TIED,
        head_dim=64,
        sliding_window=512,
        num_hidden_layers=8,
    ),
    case(
        "gpt-oss, experts and windows",
        "gpt_oss",
        head_dim=64,
        sliding_window=128,
        num_local_experts=8,
        max_position_embeddings=131072,
    ),
    case("DeepSeek-V2, latent", "deepseek_v2", **LATENT, head_dim=32, q_lora_rank=None),
    case(
        "DeepSeek-V3, latent",
        "deepseek_v3",
        **LATENT,
        q_lora_rank=128,
        n_group=2,
        topk_group=1,
        topk_method="noaux_tc",
    ),
    case(
        "Qwen3-Next, 3 of 4 with a state",
        "qwen3_next",
        head_dim=64,
        **EXPERTS,
        shared_expert_intermediate_size=256,
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=64,
        linear_value_head_dim=64,
    ),
    case(
        "Granite 4, 3 of 4 Mamba",
        "granitemoehybrid",
        num_local_experts=4,
        num_experts_per_tok=2,
        shared_intermediate_size=256,
        layer_types=["mamba", "attention", "mamba", "mamba"],
        **MAMBA,
    ),
]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model, what vLLM computed of it, and how mealkit describes the same."""

    name: str
    found: Mapping[str, Any]
    log: str
    shape: Shape
    demand: Demand

    @property
    def setting(self) -> Setting:
        return self.demand.setting(memory_of("vllm"))

    def needed(self, requests: int = 1) -> Term:
        by = memory_of("vllm").needed_cache
        assert by is not None
        return by(self.shape, replace(self.setting, concurrency=requests))

    def bytes_of(self, needed: Term) -> int:
        """The bound for this processor: only those with AMX use large blocks for latent vectors."""
        return needed.high_bytes if self.found["block_tokens"] >= 128 else needed.low_bytes


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Loaded]:
    """Every model, as vLLM loaded it; one process for all of them."""
    folder = tmp_path_factory.mktemp("models")
    command = [sys.executable, Path(__file__).with_name("load_shapes.py"), folder]
    environment = {**os.environ, "PYTHONPATH": str(VLLM), "VLLM_CACHE_ROOT": str(folder / "cache")}
    done = subprocess.run(
        command,
        input=json.dumps(CASES),
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    logs = dict(re.findall(r"^model (.+)\n((?:(?!model ).*\n)*)", done.stdout, re.MULTILINE))
    home = Home(folder / "home")
    return {name: _loaded(folder / name, logs[name], home) for name in logs}


def _loaded(folder: Path, log: str, home: Home) -> Loaded:
    flags = next(item["flags"] for item in CASES if item["name"] == folder.name)
    shape = find_model(str(folder), home, (), SILENT).shape
    demand = demand_of("vllm", {**flags, "device": "cpu", "kv_cache_gib": 1}, 1, shape)
    assert demand is not None
    demand = demand.model_copy(update={"cache_space_bytes": SPACE})
    found = json.loads((folder / "found.json").read_text())
    return Loaded(folder.name, found, log, shape, demand)


@pytest.fixture(params=[item["name"] for item in CASES])
def loaded(request: pytest.FixtureRequest, models: dict[str, Loaded]) -> Loaded:
    """One of the models."""
    found = models[request.param]
    assert "error" not in found.found, found.found["error"]
    return found


def test_weights_are_within_the_interval(loaded):
    """Parameters and buffers as vLLM loads them, with padding and tables, on a GPU as on a CPU.

    Of such small models, the padding and the tables of positions are up to 13 %, and 46 % of gpt-oss.
    """
    real = loaded.found["parameters"] + loaded.found["buffers"]
    on_gpu = replace(loaded.setting, cache_space_bytes=None)
    ours = term(estimate(loaded.shape, on_gpu), "weights")
    print(f"| {loaded.name} | weights | {real} | {ours.low_bytes} to {ours.high_bytes} |")
    assert ours.low_bytes <= real <= ours.high_bytes <= 1.2 * real


def test_one_request_s_cache_is_exact(loaded):
    """vLLM refuses a context that needs one byte more than its cache has; so does the estimate."""
    real, ours = loaded.found["needed_bytes"], loaded.needed()
    print(f"| {loaded.name} | cache of {CONTEXT} tokens | {real} | {loaded.bytes_of(ours)} |")
    assert loaded.bytes_of(ours) == real


def test_the_same_tokens_fit(loaded):
    """The tokens that vLLM writes to its log, and its number of blocks."""
    logged = re.search(r"KV cache size: ([\d,]+) tokens, Maximum concurrency for", loaded.log)
    assert logged
    tokens = int(logged[1].replace(",", ""))
    each = loaded.bytes_of(loaded.needed(2)) - loaded.bytes_of(loaded.needed())
    block = loaded.bytes_of(loaded.needed()) - each
    blocks = SPACE // block
    print(
        f"| {loaded.name} | tokens in 64 MiB | {tokens} | {int(blocks / (each // block) * CONTEXT)} |"
    )
    assert blocks == loaded.found["blocks"]
    assert int(blocks / (each // block) * CONTEXT) == tokens
    if loaded.shape.latent is None:
        most = largest_concurrency(loaded.shape, loaded.setting, 0)
        assert most.sure == (blocks - 1) // (each // block)


def test_the_longest_context_is_the_one_that_vllm_names(loaded):
    """With half of the cache that the pinned context needs, FIT_CONTEXT names vLLM's number."""
    half = loaded.found["needed_bytes"] // 2
    message = re.search(r"maximum model length is (\d+)", loaded.found["half_refused"])
    assert message
    setting = replace(loaded.setting, cache_space_bytes=half, concurrency=1)
    reach = largest_context(loaded.shape, setting, half)
    longest = int(message[1])
    assert reach.sure == longest if loaded.shape.latent is None else reach.sure <= longest
    needs = cpu_needs(
        model=loaded.shape, demand=loaded.demand.model_copy(update={"cache_space_bytes": half})
    )
    finding = next(
        item for item in report_of(made_facts(), needs).findings if item.code == "FIT_CONTEXT"
    )
    assert finding.severity is Severity.BLOCKS
    assert f"{reach.sure} tokens" in finding.measured


def test_on_a_gpu_vllm_s_own_code_needs_what_is_estimated(loaded):
    """With blocks of 16 tokens, and a batch that is scheduled while another one is computed."""
    real = loaded.found["gpu_needed_bytes"]
    if real is None:
        assert loaded.shape.recurrent is not None
        return
    by = memory_of("vllm").needed_cache
    assert by is not None
    ours = by(loaded.shape, replace(loaded.setting, cache_space_bytes=None))
    print(f"| {loaded.name} | cache on a GPU | {real} | {ours.likely_bytes} |")
    assert ours.low_bytes <= ours.likely_bytes == real <= ours.high_bytes

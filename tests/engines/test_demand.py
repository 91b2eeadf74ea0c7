"""Flags of engines, by the names that the engines give them, become what decides about memory."""

import pytest
from fakes.engines import computed_dtypes, demand_of, memory_of
from fakes.needs import GIB, SEVEN, SEVENTY_4BIT

from mealkit.engines.demand import shared_memory_bytes
from mealkit.engines.transformers.memory import habits_of


def test_vllm():
    """Every flag that matters is read; the gateway lets no more through than it takes."""
    flags = {
        "max_model_len": 32768,
        "max_num_seqs": 4,
        "kv_cache_dtype": "fp8_e4m3",
        "tensor_parallel_size": 2,
        "gpu_memory_utilization": 0.85,
        "max_num_batched_tokens": 2048,
        "enforce_eager": True,
        "dtype": "float16",
    }
    demand = demand_of("vllm", flags, 16, SEVEN)
    assert demand.model_dump(exclude={"layer_split", "micro_batch", "flash_attention"}) == {
        "engine": "vllm",
        "context_tokens": 32768,
        "concurrency": 4,
        "kv_dtype": "fp8",
        "float_bytes": 2,
        "tensor_parallel": 2,
        "utilisation": 0.85,
        "batched_tokens": 2048,
        "cuda_graphs": False,
        "transformers_version": None,
    }
    assert demand.gpus == 2
    assert demand_of("vllm", {}, 2, SEVEN).concurrency == 2
    assert computed_dtypes("vllm", flags, SEVEN) == ("fp16",)


def test_llama_cpp_shares_out_its_context():
    """--ctx-size is for all slots together."""
    flags = {"ctx_size": 32768, "parallel": 4, "cache_type_k": "q8_0", "flash_attn": "off"}
    demand = demand_of("llama-cpp", flags, 8, None)
    assert (demand.context_tokens, demand.concurrency) == (8192, 4)
    assert (demand.kv_dtype, demand.flash_attention) == ("q8_0", False)


def test_transformers_has_habits_by_version():
    """The locked package decides."""
    demand = demand_of("transformers", {}, 1, SEVEN, [("transformers", "4.44.2")])
    assert demand.setting(memory_of("transformers")).habits == habits_of((4, 44))
    assert demand.setting(memory_of("transformers"), (9, 0)).compute_capability == (9, 0)


def test_the_models_own_limit_where_no_context_is_pinned():
    """It is what the engine would take by itself."""
    assert demand_of("vllm", {}, 1, SEVEN).context_tokens == 131072
    assert demand_of("vllm", {}, 1, None) is None


def test_engines_that_nobody_can_estimate():
    """They have no demand, which leaves doubts, not passes."""
    assert demand_of("python", {"max_model_len": 8}, 1, SEVEN) is None


@pytest.mark.parametrize(
    ("engine", "flags", "model", "expected"),
    [
        ("vllm", {}, SEVEN, ("bf16",)),
        ("vllm", {"dtype": "auto"}, SEVEN, ("bf16",)),
        ("vllm", {"dtype": "half"}, SEVEN, ("fp16",)),
        ("vllm", {}, SEVENTY_4BIT, ("fp16",)),
        ("llama-cpp", {}, None, ("fp16",)),
        ("vllm", {}, None, ()),
    ],
)
def test_dtypes(engine, flags, model, expected):
    """What the engine was told, else what the weights are stored in."""
    assert computed_dtypes(engine, flags, model) == expected


def test_shared_memory_for_several_gpus():
    """One GPU's process shares nothing; the processes on a CPU have a queue of 160 MiB."""
    one, two = (demand_of("vllm", {"tensor_parallel_size": n}, 1, SEVEN) for n in (1, 2))
    assert [shared_memory_bytes(item) for item in (None, one, two)] == [0, 0, 16 * GIB]
    on_cpu = demand_of("vllm", {"device": "cpu", "kv_cache_gib": 1}, 1, SEVEN)
    assert shared_memory_bytes(on_cpu) == GIB // 2


@pytest.mark.parametrize(("dtype", "cached"), [("float32", "f32"), ("bfloat16", "bf16")])
def test_transformers_caches_in_the_type_that_it_computes_in(dtype, cached):
    """A model stored in half precision and computed in single has a cache of single."""
    demand = demand_of("transformers", {"dtype": dtype, "max_length": 512}, 1, None)
    assert demand is not None
    assert demand.kv_dtype == cached

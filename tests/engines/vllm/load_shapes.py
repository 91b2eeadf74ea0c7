"""Load small models with random weights into vLLM, and print what it computes of each.

``PYTHONPATH=.engines/vllm python tests/engines/vllm/load_shapes.py FOLDER < cases.json``

Each case has the fields of a config.json, and how the model is served. transformers writes the
model into FOLDER/NAME; vLLM's own engine core loads it, as its server does, without compiling. All
models are loaded in this process, one after the other. vLLM's log of each follows a line with its
name; the numbers that are not in the log go to FOLDER/NAME/found.json.
"""

import gc
import json
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

# Before anything of vLLM is imported: no process for each model, no plugins, no network.
os.environ |= {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_PLUGINS": "",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_COLOR": "0",
    "VLLM_BATCH_INVARIANT": "0",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from vllm import logger
from vllm.distributed import cleanup_dist_env_and_memory
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader import base_loader
from vllm.model_executor.models import ModelRegistry
from vllm.v1.core.kv_cache_utils import get_kv_cache_configs
from vllm.v1.engine.core import EngineCore
from vllm.v1.executor.uniproc_executor import UniProcExecutor
from vllm.v1.kv_cache_interface import AttentionSpec

GPU_BLOCK = 16


def main() -> None:
    folder = Path(sys.argv[1])
    # vLLM collects garbage several times for each model, also among what was imported.
    gc.freeze()
    for case in json.load(sys.stdin):
        # Otherwise vLLM writes a line that is equal to an earlier one only once.
        logger._print_info_once.cache_clear()
        print(f"model {case['name']}", flush=True)
        model = folder / case["name"]
        write(case, model)
        register(model)
        try:
            found = load(case, model)
        except Exception:  # noqa: BLE001  the other models are tested
            found = {"error": traceback.format_exc()}
        (model / "found.json").write_text(json.dumps(found))
        cleanup_dist_env_and_memory()


def write(case: dict[str, Any], folder: Path) -> None:
    """Write config.json and model.safetensors of random weights."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(**case["config"])
    config.dtype = case["stored"]
    model = AutoModelForCausalLM.from_config(config).to(getattr(torch, case["stored"]))
    model.save_pretrained(folder)


def register(folder: Path) -> None:
    """Import the model's class here: vLLM would start a process to look at it."""
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    found = ModelRegistry.models[name]
    ModelRegistry.register_model(name, found.load_model_cls())


def load(case: dict[str, Any], folder: Path) -> dict[str, Any]:
    weights: dict[str, int] = {}
    counted = base_loader.process_weights_after_loading

    def count(model: torch.nn.Module, *arguments: Any) -> None:
        """Count before the weights are packed for this processor: then they are not visible."""
        for kind in ("parameters", "buffers"):
            # A tied matrix has two names.
            found = {item.data_ptr(): item for item in getattr(model, kind)() if item.numel()}
            weights[kind] = sum(item.numel() * item.element_size() for item in found.values())
        counted(model, *arguments)

    base_loader.process_weights_after_loading = count
    try:
        settings = EngineArgs(
            model=str(folder),
            skip_tokenizer_init=True,
            load_format="safetensors",
            enforce_eager=True,
            enable_prefix_caching=False,
            distributed_executor_backend="uni",
            kv_cache_memory_bytes=case["space_bytes"],
            **case["flags"],
        ).create_engine_config()
        core = EngineCore(settings, UniProcExecutor, log_stats=False)
    finally:
        base_loader.process_weights_after_loading = counted
    cache = core.scheduler.kv_cache_config
    specs = core.model_executor.get_kv_cache_specs()
    needed = needed_bytes(settings, specs)
    found = {
        **weights,
        "block_tokens": settings.cache_config.block_size,
        "blocks": cache.num_blocks,
        "needed_bytes": needed,
        "half_refused": refusal(settings, specs, needed // 2),
        "gpu_needed_bytes": needed_bytes_on_gpu(settings, specs),
    }
    core.shutdown()
    return found


def needed_bytes(settings: Any, specs: Any) -> int:
    """Return the smallest cache that vLLM accepts for one request with the whole context."""
    low, high = 0, settings.cache_config.kv_cache_memory_bytes
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if refusal(settings, specs, middle) else (low, middle)
    return high


def needed_bytes_on_gpu(settings: Any, specs: Any) -> int | None:
    """Return the same with the blocks and the scheduling of a GPU; None for layers with a state.

    With a state, the block is enlarged before, by the platform.
    """
    if any(not isinstance(spec, AttentionSpec) for spec in specs[0].values()):
        return None
    settings.scheduler_config.async_scheduling = True
    smaller = {name: replace(spec, block_size=GPU_BLOCK) for name, spec in specs[0].items()}
    return needed_bytes(settings, [smaller])


def refusal(settings: Any, specs: Any, space_bytes: int) -> str | None:
    """Return the message for a cache of another size; None if the pinned context fits."""
    try:
        get_kv_cache_configs(settings, specs, [space_bytes])
    except ValueError as error:
        return str(error)
    return None


if __name__ == "__main__":
    main()

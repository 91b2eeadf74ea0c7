"""The vllm engine: ``vllm serve`` replaces the worker's process, with every flag from the lock.

Raises errors for missing or mistyped settings. Imports only the standard library: the server
itself imports vLLM.
Its flags, as of 0.32 and 0.33: https://docs.vllm.ai/en/v0.33.0/cli/serve/
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mealkit.errors import failure
from mealkit.worker.interface import WorkerConfig, require_fields

# numpy's generators, which vLLM seeds when it starts, use 32 bits. Every request has its own seed.
_SEED_MASK = 2**32 - 1

_POOLING = {"mean": "MEAN", "cls": "CLS"}

# The same for all kits: only pinned files are loaded and run, the server does not listen on a
# network, requests are not logged, and a request cannot contain a template.
_ALWAYS = (
    "--load-format=safetensors",
    "--config-format=hf",
    "--no-trust-remote-code",
    "--no-trust-request-chat-template",
    "--no-trust-request-mm-kwargs",
    "--no-enable-prompt-embeds",
    "--no-enable-sleep-mode",
    "--no-enable-tokenizer-info-endpoint",
    "--no-enable-log-requests",
    "--no-enable-log-outputs",
    "--no-enable-lora",
    "--generation-config=vllm",
    "--disable-fastapi-docs",
    "--disable-uvicorn-access-log",
    "--uvicorn-log-level=warning",
    "--fingerprint-mode=none",
    "--sse-keep-alive-interval=0",
    "--api-server-count=1",
    "--stream-interval=1",
    "--scheduling-policy=fcfs",
    "--shutdown-timeout=0",
    "--optimization-level=2",
)


class VllmServer:
    """vLLM's own server."""

    def command(self, config: WorkerConfig, socket: Path) -> Sequence[str]:
        """Return the command for ``vllm serve``, as a module, on the socket, with the lock's flags.

        Raises:
            ContainerError: ``CONFIG_INVALID``, a setting is missing, unknown or mistyped.
            EngineError: ``ENGINE_START``, vLLM's server does not support the task.
        """
        settings = _settings(config)
        # -s and -P, like the worker itself; vLLM's console script is not in the image.
        return (
            sys.executable,
            *("-s", "-P", "-m", "mealkit.engines.vllm.run_vllm", "serve", str(config.model_root)),
            f"--uds={socket}",
            f"--served-model-name={config.model_name}",
            *_ALWAYS,
            *_engine_flags(settings),
            *_task_flags(config, settings),
        )

    def environment(self, config: WorkerConfig) -> Mapping[str, str]:
        """Return the variables of the device, and the one against other requests' influence."""
        settings = _settings(config)
        invariant = {"VLLM_BATCH_INVARIANT": "1" if settings["batch_invariant"] else "0"}
        if settings["device"] != "cpu":
            return invariant
        # Otherwise torch compiles what a first request for log probabilities needs
        # (vllm/v1/sample/ops/logprobs.py): with a compiler, for a minute, while others wait.
        eager = {"TORCH_COMPILE_DISABLE": "1"} if settings["enforce_eager"] else {}
        return {
            **invariant,
            **eager,
            # vLLM would otherwise find out by its distribution's name and version.
            "VLLM_TARGET_DEVICE": "cpu",
            "VLLM_CPU_KVCACHE_SPACE": str(settings["kv_cache_gib"]),
            # By itself, vLLM takes one thread for each core of the machine but one: on another
            # machine, sums would have another order.
            "OMP_NUM_THREADS": str(settings["threads"]),
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }


def _settings(config: WorkerConfig) -> Mapping[str, Any]:
    settings = dict(config.settings)
    # The settings that may be null, so that vLLM chooses: from the weights' config, or by the GPU.
    for name in ("quantization", "attention_backend", "tool_call_parser"):
        if settings.get(name, ...) is None:
            settings[name] = ""
    # The settings that only a CPU has.
    for name in ("kv_cache_gib", "threads"):
        if settings.get(name, ...) is None:
            settings[name] = 0
    # JSON has one type of number: 1 is also a fraction.
    if type(settings.get("gpu_memory_utilization")) is int:
        settings["gpu_memory_utilization"] = float(settings["gpu_memory_utilization"])
    require_fields(settings, _FIELDS, "settings")
    return settings


def _engine_flags(settings: Mapping[str, Any]) -> Iterator[str]:
    if settings["device"] == "cuda":
        yield f"--gpu-memory-utilization={settings['gpu_memory_utilization']}"
    for name in (
        "dtype",
        "tensor_parallel_size",
        "max_num_seqs",
        "kv_cache_dtype",
        "tokenizer_mode",
        "model_impl",
    ):
        yield f"--{name.replace('_', '-')}={settings[name]}"
    for name in ("enforce_eager", "enable_prefix_caching"):
        yield f"--{'' if settings[name] else 'no-'}{name.replace('_', '-')}"
    # For one GPU, another process would only be another one that can die.
    spread = settings["tensor_parallel_size"] > 1
    yield f"--distributed-executor-backend={'mp' if spread else 'uni'}"
    if settings["quantization"]:
        yield f"--quantization={settings['quantization']}"
    if settings["attention_backend"]:
        yield f"--attention-backend={settings['attention_backend']}"


def _task_flags(config: WorkerConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    values = config.hyperparameters
    limit_tokens = _value(values, "max_length", int)
    yield f"--max-model-len={limit_tokens}"
    match config.task:
        case "generation":
            yield from _generation_flags(config, settings)
        case "embeddings":
            yield from _embedding_flags(values, settings["max_num_batched_tokens"], limit_tokens)
        case _:
            message = f"vLLM's server does not support the task {config.task!r} here"
            raise failure("ENGINE_START", message)


def _generation_flags(config: WorkerConfig, settings: Mapping[str, Any]) -> Iterator[str]:
    values = config.hyperparameters
    yield "--runner=generate"
    yield "--convert=none"
    yield f"--seed={_value(values, 'seed', int) & _SEED_MASK}"
    yield "--enable-chunked-prefill"
    yield f"--max-num-batched-tokens={settings['max_num_batched_tokens']}"
    # OpenAI's rule: at most 20, from the model's probabilities before temperature and top_p.
    yield "--max-logprobs=20"
    yield "--logprobs-mode=raw_logprobs"
    yield "--chat-template-content-format=auto"
    template = _value(values, "chat_template", str)
    if template not in {"model", "none"}:
        yield f"--chat-template={config.model_root / template}"
    hermes = "hermes" if _value(values, "tool_calls", str) == "hermes" else ""
    parser = settings["tool_call_parser"] or hermes
    if parser:
        yield "--enable-auto-tool-choice"
        yield f"--tool-call-parser={parser}"


def _embedding_flags(
    values: Mapping[str, Any], batched_tokens: int, limit_tokens: int
) -> Iterator[str]:
    yield "--runner=pooling"
    yield "--convert=embed"
    yield "--seed=0"
    pooler = {
        "pooling_type": _POOLING[_value(values, "pooling", str)],
        "use_activation": _value(values, "normalize", bool),
        "enable_chunked_processing": False,
    }
    yield f"--pooler-config={json.dumps(pooler)}"
    # A mean over pieces would be a different vector: an input must fit into one batch.
    yield "--no-enable-chunked-prefill"
    yield f"--max-num-batched-tokens={max(batched_tokens, limit_tokens)}"


def _value(values: Mapping[str, Any], name: str, kind: type) -> Any:
    value = values.get(name)
    if type(value) is not kind:
        message = f"hyperparameters.{name} is {value!r}, expected {kind.__name__}"
        raise failure("CONFIG_INVALID", message, where=f"hyperparameters.{name}")
    return value


_FIELDS: Mapping[str, type] = {
    "device": str,
    "dtype": str,
    "gpu_memory_utilization": float,
    "tensor_parallel_size": int,
    "max_num_seqs": int,
    "max_num_batched_tokens": int,
    "enforce_eager": bool,
    "kv_cache_dtype": str,
    "quantization": str,
    "enable_prefix_caching": bool,
    "attention_backend": str,
    "batch_invariant": bool,
    "tokenizer_mode": str,
    "model_impl": str,
    "tool_call_parser": str,
    "kv_cache_gib": int,
    "threads": int,
}

"""The parts of a kit that follow from its engine: settings, base, hardware.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.assembly.templates import template_root
from mealkit.importing.proposal import LeftOut
from mealkit.recipe.kit import Task

_DTYPES = frozenset({"bfloat16", "float16", "float32"})

_Comments = dict[tuple[str | int, ...], str]

WHEEL = LeftOut(
    "a wheel of llama-cpp-python",
    "no index has one",
    "bash build_wheel.sh compiles it; then write wheels: [wheels] under runtime",
)
TORCH = LeftOut(
    "a build of torch for CPUs",
    "the index's own is for GPUs, and has gigabytes that this kit does not use",
    "name the CPU build: a kit of mealkit new --engine transformers shows how",
)
# What compiles the wheel: of the kit that mealkit new writes for llama-cpp.
_WHEEL_FILES = ("build_wheel.sh", "wheel-source.txt", "wheel-tools.txt", "wheel.sha256")

# Triton compiles a small part of itself when it starts: triton/runtime/build.py
_COMPILER = ["g++", "libc6-dev", "libpython3.13-dev"]


def runtime_of(
    engine: str, config: Mapping[str, Any], weight: str, task: Task, max_length: int
) -> tuple[dict[str, Any], _Comments]:
    """Return ``runtime``, ``hardware`` and ``serving`` of a kit, with comments."""
    match engine:
        case "vllm":
            return _on_a_gpu(config, task)
        case "llama-cpp":
            settings: dict[str, Any] = {"model": weight}
            if task is Task.EMBEDDINGS:
                # A text is computed at once.
                settings |= {"n_batch": max_length, "n_ubatch": max_length}
            return _on_a_cpu("llama-cpp", settings), {}
        case "onnx":
            return _on_a_cpu("onnx", {"graph": weight}), {}
        case _:
            comments: _Comments = {
                ("runtime", "settings", "dtype"): "Computed in; the weights may be stored in less."
            }
            return _on_a_cpu(engine, {"dtype": "float32"}), comments


def extra_files(engine: str) -> dict[str, str]:
    """Return the files that a kit with an engine has beside its own."""
    if engine != "llama-cpp":
        return {}
    folder = template_root() / "new" / engine
    return {name: (folder / name).read_text() for name in _WHEEL_FILES} | {
        "wheels/README.md": (folder / "wheels" / "README.md.jinja").read_text()
    }


def _on_a_cpu(engine: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "runtime": {
            "engine": engine,
            "settings": settings,
            "base": {"source": "debian", "suite": "trixie"},
            "python": "3.13",
        },
        "hardware": {"gpu": "none", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 8, "timeout_seconds": 300},
    }


def _on_a_gpu(config: Mapping[str, Any], task: Task) -> tuple[dict[str, Any], _Comments]:
    stated = config.get("dtype", config.get("torch_dtype"))
    known = isinstance(stated, str) and stated in _DTYPES
    dtype = stated if known else "bfloat16"
    # float32 on a GPU doubles memory; whoever publishes generators in it means it for training.
    if dtype == "float32" and task is Task.GENERATION:
        dtype, known = "bfloat16", False
    said = "From config.json." if known else f"config.json says {stated}: mealkit's choice."
    form = {
        "runtime": {
            "engine": "vllm",
            "settings": {
                "dtype": dtype,
                "gpu_memory_utilization": 0.9,
                "tensor_parallel_size": 1,
                "max_num_seqs": 32,
                "batch_invariant": True,
            },
            "base": {"source": "debian", "suite": "trixie", "packages": _COMPILER},
            "python": "3.13",
        },
        "hardware": {"gpu": "required", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 32, "timeout_seconds": 600},
    }
    comments: _Comments = {
        ("runtime", "settings", "dtype"): said,
        ("runtime", "settings", "batch_invariant"): (
            "The same answer whatever else is computed; it needs a GPU of compute capability 9.0."
        ),
        ("runtime", "base"): (
            "As vLLM starts, Triton and torch compile: they need g++ and Python's headers."
        ),
    }
    return form, comments

"""The estimator: what a model takes of a GPU's memory under a setting, as terms with intervals.

Pure; refuses nothing but a shape that cannot be counted with.
"""

from typing import assert_never

from mealkit.preflight.estimate import llama_cpp, onnx, transformers, vllm
from mealkit.preflight.estimate.setting import Setting
from mealkit.preflight.estimate.shape import Shape
from mealkit.preflight.estimate.terms import Estimate


def estimate(shape: Shape, setting: Setting) -> Estimate:
    """Return the memory that serving a model needs of each GPU, at its worst moment."""
    match setting.engine:
        case "transformers":
            return transformers.estimate(shape, setting)
        case "vllm":
            return vllm.estimate(shape, setting)
        case "llama-cpp":
            return llama_cpp.estimate(shape, setting)
        case "onnx":
            return onnx.estimate(shape, setting)
        case _:
            assert_never(setting.engine)


def usable_bytes(memory_bytes: int, setting: Setting) -> int:
    """Return how much of a GPU's memory the engine lets itself use."""
    if setting.engine == "vllm":
        return vllm.usable_bytes(memory_bytes, setting)
    return memory_bytes

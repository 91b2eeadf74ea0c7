"""The traits of the vllm engine: memory, supported GPUs, and its server's error messages."""

from mealkit.engines.vllm.error_messages import error_meaning
from mealkit.engines.vllm.memory import MEMORY
from mealkit.recipe.traits import EngineTraits

TRAITS = EngineTraits(
    memory=MEMORY,
    runs_kit_code=False,
    # vllm/platforms/cpu.py (import_kernels): without AVX-512 it loads the kernels for AVX2.
    instruction_sets={"amd64": frozenset({"avx2"})},
    # docs.vllm.ai: "GPU: compute capability 7.0 or higher".
    least_capability=(7, 0),
    # docs.vllm.ai/en/v0.15.1/features/quantization/: AWQ from Turing on, GPTQ and bitsandbytes
    # from Volta on; FP8 weights from Turing on (by Marlin).
    quantisation_capabilities={
        "awq": (7, 5),
        "gptq": (7, 0),
        "bitsandbytes": (7, 0),
        "fp8": (7, 5),
        "compressed-tensors": (7, 0),
    },
    # vllm/v1/worker/gpu_worker.py
    refused_dtypes=frozenset({"bf16"}),
    hardware_source="https://docs.vllm.ai/en/latest/features/quantization/ (supported hardware)",
    renders_chats=True,
    # Versions differ: some lower a max_tokens that does not fit (get_max_tokens in
    # vllm/entrypoints/serve/utils/api_utils.py), others refuse it.
    requires_room=True,
    # Seen with 0.32: such a call's arguments were a text (structural_tag_registry.py,
    # resolve_tool_strictness).
    binds_only_strict=True,
    # It embeds any numbers as they are, without the tokens that belong around a text.
    checks_tokens=False,
    metrics_prefix="vllm:",
    error_meaning=error_meaning,
)

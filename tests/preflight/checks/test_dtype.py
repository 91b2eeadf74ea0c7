"""Types that the GPU computes in."""

import pytest
from fakes.gpu_servers import (
    BLOCKS,
    PASSES,
    WARNS,
    gpu,
    server,
    severity,
)
from fakes.needs import gpu_needs


@pytest.mark.parametrize(
    ("capability", "engine", "dtypes", "expected"),
    [
        ((8, 0), "vllm", ("bf16",), PASSES),
        ((7, 5), "vllm", ("bf16",), BLOCKS),  # vLLM refuses it
        ((7, 5), "transformers", ("bf16",), WARNS),  # PyTorch computes it in another way
        ((8, 0), "vllm", ("bf16", "fp8"), WARNS),
        ((7, 5), "vllm", ("bf16", "fp8"), BLOCKS),
        ((8, 9), "vllm", ("bf16", "fp8"), PASSES),
        ((9, 0), "vllm", ("fp4",), WARNS),
        ((7, 0), "vllm", ("fp16",), None),
        (None, "vllm", ("bf16",), WARNS),
    ],
)
def test_dtype(capability, engine, dtypes, expected):
    """A type that the engine refuses is certain; one that is slow is not."""
    facts = server(gpu(compute_capability=capability))
    assert severity("HW_DTYPE", facts, gpu_needs(engine=engine, dtypes=dtypes)) is expected

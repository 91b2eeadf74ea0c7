"""onnxruntime's terms, against what was measured."""

from fakes.engines import estimate, term

from mealkit.engines.onnx import genai
from mealkit.memory.setting import Compared

MIB = 2**20


def test_onnx_against_what_was_measured(shape, setting):
    """all-MiniLM-L6-v2 took 222 MiB of main memory at most, 178 MiB once loaded."""
    minilm = shape(
        bytes_by_dtype={"F32": 90_852_864, "I64": 4096},
        layers=6,
        hidden_size=384,
        intermediate_size=1536,
        heads=12,
        kv_heads=12,
        head_dimension=32,
        gated=False,
        generates=False,
    )
    one = setting(engine="onnx", context_tokens=256, concurrency=1, compared=Compared.DEVICE)
    found = estimate(minilm, one)
    assert found.low_bytes <= 178 * MIB <= found.high_bytes
    assert found.low_bytes <= 222 * MIB <= found.high_bytes


def test_onnx_text_is_read_piece_by_piece(shape, setting):
    """A long context costs its cache and one piece of the prompt, not the prompt's square."""
    model = shape(layers=28, hidden_size=1536, heads=12, kv_heads=2, head_dimension=128)
    found = estimate(model, setting(engine="onnx", context_tokens=32768, kv_dtype="f32"))
    assert setting().micro_batch == genai._READ_TOKENS
    assert term(found, "activations").high_bytes < 4 * 1024 * MIB
    longer = estimate(model, setting(engine="onnx", context_tokens=65536, kv_dtype="f32"))
    more, less = term(longer, "activations").high_bytes, term(found, "activations").high_bytes
    assert less < more < 2 * less


def test_onnx_weights_are_cast(shape, setting):
    """What is stored in half precision is computed in 32 bit on a CPU, and so takes twice as much."""
    half = shape(bytes_by_dtype={"F16": 100 * MIB})
    stored, cast = (
        term(estimate(half, setting(engine="onnx", float_bytes=width)), "weights")
        for width in (None, 4)
    )
    assert cast.low_bytes == 2 * stored.low_bytes == 200 * MIB

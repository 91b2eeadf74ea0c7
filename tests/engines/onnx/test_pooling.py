"""Pooling by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from mealkit.engines.onnx.pooling import normalized, pooled

HIDDEN = np.array([[[1, 2], [3, 6]], [[5, 5], [7, 0]]], dtype=np.float32)


def test_the_mean_is_over_all_tokens():
    """Every token counts once, in sum and in number."""
    assert pooled(HIDDEN, "mean", normalize=False).tolist() == [[2, 4], [6, 2.5]]


def test_cls_takes_the_first_token():
    """The first token's vector, whatever follows."""
    assert pooled(HIDDEN, "cls", normalize=False).tolist() == [[1, 2], [5, 5]]


def test_length_is_one_or_zero():
    """Vectors are scaled to length 1; a zero vector stays as it is instead of becoming no number."""
    vectors = normalized(np.array([[3, 4], [0, 0]], dtype=np.float32))
    assert np.allclose(vectors, [[0.6, 0.8], [0, 0]])
    pooled_vectors = pooled(HIDDEN, "mean", normalize=True)
    assert np.allclose(np.linalg.norm(pooled_vectors, axis=1), 1)
    assert pooled_vectors.dtype == np.float32


@given(
    some.integers(1, 40), some.integers(1, 9), some.sampled_from(["mean", "cls"]), some.booleans()
)
def test_company_changes_no_bit(tokens, texts, how, normalize):
    """A text is pooled to the same bytes alone and among others."""
    hidden = np.random.default_rng(tokens).standard_normal((texts, tokens, 7)).astype(np.float32)
    together = pooled(hidden, how, normalize=normalize)
    for index in range(texts):
        alone = pooled(hidden[index : index + 1], how, normalize=normalize)
        assert alone.tobytes() == together[index].tobytes()

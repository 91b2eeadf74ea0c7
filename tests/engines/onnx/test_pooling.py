"""Pooling by hand."""

import numpy as np

from mealkit.engines.onnx.pooling import normalized, pooled

HIDDEN = np.array([[[1, 2], [3, 6], [100, 100]], [[5, 5], [7, 7], [9, 0]]], dtype=np.float32)
MASK = np.array([[1, 1, 0], [1, 1, 1]])


def test_the_mean_leaves_padding_out():
    """Only tokens under the mask count, in sum and in number."""
    assert pooled(HIDDEN, MASK, "mean").tolist() == [[2, 4], [7, 4]]


def test_cls_takes_the_first_token():
    """The first token's vector, whatever follows."""
    assert pooled(HIDDEN, MASK, "cls").tolist() == [[1, 2], [5, 5]]


def test_length_is_one_or_zero():
    """Vectors are scaled to length 1; a zero vector stays as it is instead of becoming no number."""
    vectors = normalized(np.array([[3, 4], [0, 0]], dtype=np.float32))
    assert np.allclose(vectors, [[0.6, 0.8], [0, 0]])
    assert vectors.dtype == np.float32

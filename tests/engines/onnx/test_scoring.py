"""Logits to probabilities by hand."""

import math

import numpy as np
import pytest

from mealkit.engines.onnx.scoring import sigmoid, softmax


def test_softmax_is_a_distribution():
    """Shares grow with the logits by powers of e, and sum to 1."""
    found = softmax(np.array([0, math.log(2), math.log(5)], dtype=np.float32))
    assert found == pytest.approx([1 / 8, 2 / 8, 5 / 8])


def test_sigmoid_is_each_by_itself():
    """Zero is one half, and opposite logits make 1 together."""
    found = sigmoid(np.array([0, 2, -2], dtype=np.float32))
    assert found == pytest.approx([0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])


def test_large_logits_overflow_nowhere():
    """Logits beyond what exp can take give certainty, not an error or no number."""
    large = np.array([-30000, 0, 30000], dtype=np.float32)
    assert softmax(large).tolist() == [0, 0, 1]
    assert sigmoid(large).tolist() == [0, 0.5, 1]

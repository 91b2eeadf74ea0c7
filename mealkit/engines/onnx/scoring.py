"""Converts logits to probabilities and scores, in float64: with the same result for every engine.

No I/O. Large positive or negative logits do not overflow.
"""

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities for labels of which exactly one applies."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return probabilities for labels that apply independently of each other."""
    # The argument of exp is never positive, so exp cannot overflow.
    powers = np.exp(-np.abs(logits.astype(np.float64)))
    found: NDArray[np.float64] = np.where(logits >= 0, 1, powers) / (1 + powers)
    return found

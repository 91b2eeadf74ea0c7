"""Logits to probabilities and scores, in float64: the same from every engine's logits.

Pure. Large logits of either sign overflow nowhere.
"""

import numpy as np
from numpy.typing import NDArray


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities of which exactly one label is right."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probabilities of labels that are right or wrong by themselves."""
    # exp of what is never positive: it cannot overflow.
    powers = np.exp(-np.abs(logits.astype(np.float64)))
    found: NDArray[np.float64] = np.where(logits >= 0, 1, powers) / (1 + powers)
    return found

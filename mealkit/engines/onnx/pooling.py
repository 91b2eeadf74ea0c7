"""Token vectors to one vector per text: the mean over the real tokens, or the first token's.

Pure. Sentence-BERT's definitions (https://arxiv.org/abs/1908.10084, section 3).
"""

import numpy as np
from numpy.typing import NDArray

# What sentence-transformers divides by at least, so that a zero vector stays one.
_SMALLEST_NORM = np.float32(1e-12)


def pooled(hidden: NDArray[np.float32], mask: NDArray[np.int64], how: str) -> NDArray[np.float32]:
    """Pool ``hidden`` (text, token, dimension) over the tokens where ``mask`` is 1."""
    if how == "cls":
        return hidden[:, 0]
    weights = mask.astype(np.float32)
    total: NDArray[np.float32] = (weights[:, None, :] @ hidden)[:, 0]
    mean: NDArray[np.float32] = total / weights.sum(axis=1, keepdims=True)
    return mean


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to length 1."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = vectors / np.maximum(lengths, _SMALLEST_NORM)
    return scaled

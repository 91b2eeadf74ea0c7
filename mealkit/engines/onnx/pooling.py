"""Pools the vectors of tokens to one vector per text: their mean, or the first token's vector.

No I/O. Sentence-BERT's definitions (https://arxiv.org/abs/1908.10084, section 3). Sums are computed
in float64, text by text, so that other texts cannot change their order.
"""

import numpy as np
from numpy.typing import NDArray

# The minimum of sentence-transformers' divisor, which keeps a zero vector zero.
_SMALLEST_NORM = 1e-12


def pooled(hidden: NDArray[np.float32], how: str, *, normalize: bool) -> NDArray[np.float32]:
    """Pool ``hidden`` (text, token, dimension) over its tokens; optionally scale to length 1."""
    vectors = hidden[:, 0] if how == "cls" else hidden.mean(axis=1, dtype=np.float64)
    if normalize:
        vectors = normalized(vectors)
    return vectors.astype("<f4", copy=False)


def normalized(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Scale each row to length 1."""
    wide = vectors.astype(np.float64)
    lengths = np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    scaled: NDArray[np.float64] = wide / np.maximum(lengths, _SMALLEST_NORM)
    return scaled

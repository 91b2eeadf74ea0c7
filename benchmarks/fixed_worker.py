"""A worker that answers at once, with a fixed vector: what is left is the cost of asking."""

import struct
import time
from collections.abc import Sequence

from mealkit.worker.interface import Embeddings, IsCancelled, WorkerConfig

_DIMENSIONS = 384
_BUSY_SECONDS = 0.01
_VECTOR = struct.pack(
    f"<{_DIMENSIONS}f", *(0.05 * (1 - number % 3) for number in range(_DIMENSIONS))
)


class FixedWorker:
    """An embedding worker without an engine."""

    def load(self, config: WorkerConfig) -> None:
        """Load nothing."""

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Embeddings:  # noqa: ARG002  at once
        """Give every text the same vector."""
        return Embeddings([_VECTOR] * len(texts), _DIMENSIONS, [8] * len(texts))


class BusyWorker(FixedWorker):
    """The same, after ten milliseconds: as fast as a small model on one core."""

    def embed(self, texts: Sequence[str], is_cancelled: IsCancelled) -> Embeddings:
        """Take its time."""
        time.sleep(_BUSY_SECONDS)
        return super().embed(texts, is_cancelled)

"""Runs waiting requests together: one run of the engine at a time, over inputs of one length.

Inputs of different lengths never share a run, so nothing is padded, and each row has the same
numbers as alone: matrix products are computed row by row in the same order. Uses only numpy.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mealkit.worker.interface import Cancelled, IsCancelled, never
from mealkit.worker.tokenizer.encode import Tokens

# The maximum number of tokens in a run (a single input may have more). It limits the engine's
# memory; more tokens per run are not faster on a CPU.
RUN_TOKENS = 2048

Run = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float32]]
"""Computes one row of numbers for each input from ids and type ids (input, token)."""


@dataclass(slots=True, eq=False)
class _Part:
    """Inputs of one length that one request waits for."""

    indices: Sequence[int]
    ids: NDArray[np.int64]
    type_ids: NDArray[np.int64]
    is_cancelled: IsCancelled
    rows: NDArray[np.float32] | None = None
    error: Exception | None = None
    turn: threading.Lock = field(default_factory=threading.Lock)


class Together:
    """Runs inputs for several threads, in order of arrival.

    No request waits for others to join: the request at the front takes waiting ones along, up to
    ``RUN_TOKENS`` together. A request that needs several runs queues again for each, so that small
    requests run between the runs of a large one.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lock = threading.Lock()
        self._waiting: deque[_Part] = deque()
        self._is_running = False

    def rows(
        self, found: Sequence[Tokens], is_cancelled: IsCancelled = never
    ) -> list[NDArray[np.float32]]:
        """Return a row for each input, in the order of the inputs.

        Raises:
            Cancelled: the caller has disconnected.
            EngineError: the run failed for these inputs, regardless of other inputs in the run.
        """
        rows: dict[int, NDArray[np.float32]] = {}
        for part in _parts(found, is_cancelled):
            rows.update(zip(part.indices, self._rows_of(part), strict=True))
        return [rows[index] for index in range(len(found))]

    def _rows_of(self, part: _Part) -> NDArray[np.float32]:
        part.turn.acquire()  # released by the thread that ran it, or that makes it the next to run
        with self._lock:
            self._waiting.append(part)
            is_first, self._is_running = not self._is_running, True
        if not is_first:
            part.turn.acquire()
        if part.rows is None and part.error is None:
            self._lead(part)
        if part.error is not None:
            raise part.error
        assert part.rows is not None  # noqa: S101 - it ran without an error
        return part.rows

    def _lead(self, part: _Part) -> None:
        """Run the part at the front with those that fit, notify them, and wake the next one."""
        with self._lock:
            parts = self._taken(part)
        try:
            self._run_all(_awaited(parts))
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._is_running = following is not None
            for other in parts[1:]:
                other.turn.release()
            if following is not None:
                following.turn.release()

    def _taken(self, first: _Part) -> list[_Part]:
        length, tokens, parts = first.ids.shape[1], first.ids.size, [first]
        for other in self._waiting:
            fits = other.ids.shape[1] == length and tokens + other.ids.size <= RUN_TOKENS
            if other is not first and fits:
                parts.append(other)
                tokens += other.ids.size
        self._waiting = deque(part for part in self._waiting if part not in parts)
        return parts

    def _run_all(self, parts: Sequence[_Part]) -> None:
        if not parts:
            return
        try:
            ids = np.concatenate([part.ids for part in parts])
            rows = self._run(ids, np.concatenate([part.type_ids for part in parts]))
        except Exception as error:  # noqa: BLE001 - raised in the waiting threads
            if len(parts) == 1:
                parts[0].error = error
                return
            for part in parts:  # one part's failure does not affect another
                self._run_all([part])
            return
        ends = np.cumsum([len(part.ids) for part in parts])
        for part, end in zip(parts, ends, strict=True):
            part.rows = rows[end - len(part.ids) : end]


def _awaited(parts: Sequence[_Part]) -> list[_Part]:
    """Return the parts whose callers still wait; the others get Cancelled."""
    for part in parts:
        if part.is_cancelled():
            part.error = Cancelled()
    return [part for part in parts if part.error is None]


def _parts(found: Sequence[Tokens], is_cancelled: IsCancelled) -> Iterator[_Part]:
    """Split inputs by length into parts that fit into one run, longest first."""
    lengths: dict[int, list[int]] = {}
    for index, tokens in enumerate(found):
        lengths.setdefault(len(tokens.ids), []).append(index)
    for length in sorted(lengths, reverse=True):
        together, size = lengths[length], max(1, RUN_TOKENS // length)
        for start in range(0, len(together), size):
            indices = together[start : start + size]
            yield _Part(
                indices,
                np.array([found[index].ids for index in indices], dtype=np.int64),
                np.array([found[index].type_ids for index in indices], dtype=np.int64),
                is_cancelled,
            )

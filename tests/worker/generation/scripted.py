"""A model without weights: its vocabulary and its logits are what a test says."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mealkit.worker.generation_values import Sampling
from mealkit.worker.interface import WorkerConfig

SAMPLING = {
    "max_tokens": 50,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "seed": 0,
    "stop": (),
    "logit_bias": {},
}
END = b"<end>"
HYPERPARAMETERS = {
    **SAMPLING,
    "max_length": 1000,
    "stop": [],
    "chat_template": "model",
    "tool_calls": "none",
    "overlong": "refuse",
}
del HYPERPARAMETERS["logit_bias"]


def sampling(**fields: Any) -> Sampling:
    """Return how tokens are chosen: greedy, unless fields say otherwise."""
    return Sampling(**{**SAMPLING, **fields})


def config(**fields: Any) -> WorkerConfig:
    """Return a worker's configuration with other hyperparameters."""
    chosen = {**HYPERPARAMETERS, **fields}
    return WorkerConfig("m", Path("/nowhere"), "generation", chosen, {}, Path("/nowhere"))


class ScriptedModel:
    """A ``TokenModel`` that says the pieces of a script, then ends.

    Its vocabulary is the pieces, every byte, and the end. Prompts are read byte by byte.
    """

    context_tokens = 1000
    special_tokens: dict[str, str] = {"bos_token": "<s>"}  # noqa: RUF012

    def __init__(self, script: Sequence[bytes] = (), *, template: str | None = None) -> None:
        bytewise = [bytes([byte]) for byte in range(256)]
        self.vocabulary = list(dict.fromkeys([*bytewise, *script, END]))
        self.vocabulary_size = len(self.vocabulary)
        self.end_ids = frozenset({self.vocabulary.index(END)})
        self.chat_template = template or "{% for m in messages %}{{ m.content }}\n{% endfor %}"
        self.script = [self.vocabulary.index(piece) for piece in script]
        self.before_token: Callable[[int], None] = lambda _count: None
        self.prompts: list[Sequence[int]] = []
        self.count = 0
        self._busy = threading.Lock()

    def tokenize(self, text: str, *, rendered: bool) -> list[int]:
        return list(text.encode())

    def piece(self, token_id: int) -> bytes:
        return b"" if token_id in self.end_ids else self.vocabulary[token_id]

    def begin(self, tokens: Sequence[int]) -> np.ndarray:
        self.prompts.append(tokens)
        self.count = 0
        return self.logits()

    def advance(self, token_id: int) -> np.ndarray:
        self.count += 1
        return self.logits()

    def logits(self) -> np.ndarray:
        assert self._busy.acquire(blocking=False), "two threads use the model at once"
        try:
            self.before_token(self.count)
            logits = np.zeros(self.vocabulary_size, np.float32)
            (end,) = self.end_ids
            logits[self.script[self.count] if self.count < len(self.script) else end] = 10
            return logits
        finally:
            self._busy.release()

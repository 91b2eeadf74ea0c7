"""The interface that text generation requires of a model: tokens in, logits out.

An engine that can return logits implements ``TokenModel`` and passes it to ``Generator``
(generator.py), which is a complete ``GenerationWorker``. This folder does everything between a
request and the logits for all engines, so that engines differ only in their logits.

    generator.py      requests → prompts → answers, one at a time, in order of arrival
    pinned_values.py  the hyperparameters, checked again
    chat_template.py  the chat template, sandboxed
    tool_calls.py     calls of tools, written by the template, read from the answer
    decoding.py       the loop: tokens → text; end tokens, stop texts, probabilities
    token_choice.py   logits → one token
    grammar.py        the tokens that a JSON Schema allows next; patterns.py limits its cost

Import these modules only in ``load``: numpy, jinja2 and llguidance are among the engine's packages,
which an engine lists in its requirements.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mealkit.worker.interface import IsCancelled


class TokenModel(Protocol):
    """A model in an engine, with one sequence of tokens.

    ``begin`` and ``advance`` are called by one thread at a time; ``tokenize`` and ``piece`` by any,
    also while those run. Logits are one float32 per token of the vocabulary, valid until the next
    call, and read-only. An engine's own errors are raised as ``EngineError``.
    """

    @property
    def context_tokens(self) -> int:
        """The maximum number of tokens of a prompt and its answer together."""

    @property
    def vocabulary_size(self) -> int:
        """The number of logits."""

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""

    @property
    def chat_template(self) -> str | None:
        """The jinja2 template of the weights, if any."""

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The special tokens that a chat template may use: ``bos_token``, ``eos_token``, ..."""

    def tokenize(self, text: str, *, rendered: bool) -> list[int]:
        """Return a text's tokens.

        The name of a special token in the text is that token, as with vLLM and llama.cpp's server.
        ``rendered``: the text is a rendered chat template, and no tokens are added. Otherwise
        those are added that the model's tokenizer puts before and after a text.
        """

    def piece(self, token_id: int) -> bytes:
        """Return the bytes of a token; empty for a special token or an unused id."""

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Clear the sequence, read at least one token; return the logits of the next one."""

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the logits of the next one."""


@runtime_checkable
class InterruptibleModel(TokenModel, Protocol):
    """A model that can stop reading a prompt, because a long one takes minutes on a CPU."""

    def begin_unless(
        self, tokens: Sequence[int], is_cancelled: IsCancelled
    ) -> NDArray[np.float32] | None:
        """As ``begin``; returns None soon after ``is_cancelled`` returns True."""

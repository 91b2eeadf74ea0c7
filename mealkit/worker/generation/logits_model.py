"""What text generation needs of a model: tokens to logits, and nothing else.

An engine that can give logits fills in ``TokenModel`` and hands it to ``Generator`` (generator.py),
which is a whole ``GenerationWorker``: this folder does all that lies between a request and logits,
once for every engine, so that they differ in nothing but the logits.

    generator.py  requests → prompts → answers, one at a time, in order of arrival
    config.py     the hyperparameters, checked again
    chat.py       the chat template, sandboxed
    tools.py      calls of tools, written by the template, read from the answer
    decoding.py   the loop: tokens → text; ends, stop texts, likelihoods
    sampling.py   logits → one token
    schema.py     which tokens a JSON Schema allows next; patterns.py what that may cost

Everything here is imported in ``load``, never before: numpy, jinja2 and llguidance belong to the
engine's packages, which an engine names in its requirements.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mealkit.worker.interface import IsCancelled


class TokenModel(Protocol):
    """One sequence of tokens in an engine.

    ``begin`` and ``advance`` are called by one thread at a time; ``tokenize`` and ``piece`` by any,
    also while those run. Logits are one float32 per token of the vocabulary, hold until the next
    call, and are not written to. An engine's own errors are raised as ``EngineError``.
    """

    @property
    def context_tokens(self) -> int:
        """The most tokens that a prompt and its answer may have together."""

    @property
    def vocabulary_size(self) -> int:
        """How many logits there are."""

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""

    @property
    def chat_template(self) -> str | None:
        """The jinja2 text that comes with the weights, if any."""

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The texts that a chat template may name: ``bos_token``, ``eos_token``, ..."""

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return a text's tokens.

        ``special``: the text may name special tokens (a rendered chat template), and nothing is
        added to it. Otherwise it is plain text, whatever it says, with what the model's tokenizer
        puts before and after one.
        """

    def piece(self, token_id: int) -> bytes:
        """Return the bytes that a token stands for: none for a special token or an unused id."""

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Forget everything, read these tokens, at least one; return the next one's logits."""

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the next one's logits."""


@runtime_checkable
class InterruptibleModel(TokenModel, Protocol):
    """A model that can leave a prompt unread: a long one takes minutes on a CPU."""

    def begin_unless(
        self, tokens: Sequence[int], is_cancelled: IsCancelled
    ) -> NDArray[np.float32] | None:
        """As ``begin``; or None, soon after ``is_cancelled`` has begun to answer True."""

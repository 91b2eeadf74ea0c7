"""A GGUF as a ``TokenModel``: one sequence, which is cleared before each request.

Imports the engine, so only ``LlamaCppWorker.load`` may import this module. Raises an error for
models that are not autoregressive.
"""

from collections.abc import Mapping, Sequence

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from mealkit.engines.llama_cpp import native
from mealkit.engines.llama_cpp.config import LlamaCppConfig
from mealkit.errors import failure
from mealkit.worker.interface import IsCancelled, never

_ONE = np.ones(1, dtype=np.int8)
# The names that chat templates use, as in a tokenizer_config.json.
_SPECIAL = {
    "bos_token": llama_cpp.llama_vocab_bos,
    "eos_token": llama_cpp.llama_vocab_eos,
    "pad_token": llama_cpp.llama_vocab_pad,
    "sep_token": llama_cpp.llama_vocab_sep,
    "mask_token": llama_cpp.llama_vocab_mask,
}


class LlamaCppModel:
    """Implements ``TokenModel`` with llama.cpp.

    Does not keep the cache from one request to the next: a cached prefix would save time, but
    change the last bits, because tokens would be computed in other batches.
    """

    def __init__(self, config: LlamaCppConfig) -> None:
        loaded = native.load(config)
        if (
            loaded.memory is None
            or not llama_cpp.llama_model_has_decoder(loaded.model)
            or llama_cpp.llama_model_has_encoder(loaded.model)
            or llama_cpp.llama_model_is_diffusion(loaded.model)
        ):
            message = "the model is not autoregressive, so it cannot generate text"
            raise failure("ENGINE_START", message, where=str(config.model))
        self._loaded = loaded
        self._config = config
        self._next = np.zeros(1, dtype=np.int32)
        vocabulary = loaded.vocabulary
        self._vocabulary_size: int = llama_cpp.llama_vocab_n_tokens(vocabulary)
        self._end_ids = frozenset(
            token_id
            for token_id in range(self._vocabulary_size)
            if llama_cpp.llama_vocab_is_eog(vocabulary, token_id)
        )
        template = llama_cpp.llama_model_chat_template(loaded.model, None)
        self._chat_template = None if template is None else template.decode("utf-8", "replace")
        self._special_tokens = {
            name: llama_cpp.llama_vocab_get_text(vocabulary, token_id).decode("utf-8", "replace")
            for name, ask in _SPECIAL.items()
            if (token_id := ask(vocabulary)) >= 0
        }

    @property
    def context_tokens(self) -> int:
        """The maximum number of tokens of a prompt and its answer together."""
        return self._config.context_tokens

    @property
    def vocabulary_size(self) -> int:
        """The number of logits."""
        return self._vocabulary_size

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that end an answer, as the GGUF states them."""
        return self._end_ids

    @property
    def chat_template(self) -> str | None:
        """The jinja2 text in the GGUF, if any."""
        return self._chat_template

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The special tokens that a chat template may use."""
        return self._special_tokens

    def tokenize(self, text: str, *, rendered: bool) -> list[int]:
        """Return a text's tokens; unless ``rendered``, with those that belong around a text."""
        return native.tokenize(self._loaded, text, add=not rendered, parse=True)

    def piece(self, token_id: int) -> bytes:
        """Return the bytes of a token: empty for a special token or an unused id."""
        if not 0 <= token_id < self._vocabulary_size:
            return b""
        return native.piece(self._loaded, token_id)

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Clear the sequence, read at least one token, and return the next token's logits."""
        logits = self.begin_unless(tokens, never)
        assert logits is not None  # noqa: S101  it was not cancelled
        return logits

    def begin_unless(
        self, tokens: Sequence[int], is_cancelled: IsCancelled
    ) -> NDArray[np.float32] | None:
        """Do the same as ``begin``; return None if ``is_cancelled`` returns True meanwhile."""
        # Old values are never read with flash attention. Without it they are multiplied by zero,
        # which does not remove infinite values.
        native.forget(self._loaded, wipe=not self._config.flash_attn)
        given = np.asarray(tokens, dtype=np.int32)
        wanted = np.zeros(len(given), dtype=np.int8)
        wanted[-1] = 1
        with native.interruptible(self._loaded, is_cancelled):
            for start in range(0, len(given), self._config.n_batch):
                end = start + self._config.n_batch
                if not native.decode(self._loaded, given[start:end], wanted[start:end]):
                    return None
        return self._logits()

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the next token's logits."""
        self._next[0] = token_id
        native.decode(self._loaded, self._next, _ONE)
        return self._logits()

    def _logits(self) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._loaded.context, -1)
        return native.numbers(pointer, self._vocabulary_size)

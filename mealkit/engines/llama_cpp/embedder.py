"""Computes vectors of texts with a GGUF, one text at a time.

Imports the engine, so only ``LlamaCppWorker.load`` may import this module. Raises errors for texts
that are too long, for models with encoder and decoder, and for vectors with invalid numbers.
"""

from collections.abc import Sequence
from functools import partial

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from mealkit.engines.llama_cpp import native
from mealkit.engines.llama_cpp.config import LlamaCppConfig
from mealkit.errors import failure
from mealkit.worker.interface import Embeddings, IsCancelled, require_waiting
from mealkit.worker.measuring import TOLD_TOKENS, large_text, require_fitting, too_long
from mealkit.worker.request_queue import RequestQueue

# The minimum of sentence-transformers' divisor, which keeps a zero vector zero.
_SMALLEST_NORM = np.float32(1e-12)


class Embedder:
    """Embeds texts; several threads may use it concurrently.

    Never puts two texts in one batch: llama.cpp's numbers depend on the other texts of a batch, and
    even on the order of the texts.
    """

    def __init__(self, config: LlamaCppConfig) -> None:
        self._loaded = native.load(config)
        if self._loaded.memory is not None and llama_cpp.llama_model_has_encoder(
            self._loaded.model
        ):
            message = "the model has an encoder and a decoder; only one of them alone can embed"
            raise failure("ENGINE_START", message, where=str(config.model))
        self._config = config
        self._dimensions: int = llama_cpp.llama_model_n_embd_out(self._loaded.model)
        self._queue = RequestQueue()

    def tokenize(self, text: str) -> list[int]:
        """Return a text's tokens, with those that the model's tokenizer adds before and after it.

        Raises:
            RequestError: ``REQUEST_TOO_LONG``, the text has more tokens than may be returned.
        """
        most = max(self._config.context_tokens, TOLD_TOKENS)
        return self._measured(text, most, "the text", "prompt")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, without special ones; unknown numbers have none."""
        size = llama_cpp.llama_vocab_n_tokens(self._loaded.vocabulary)
        pieces = (native.piece(self._loaded, token) for token in tokens if 0 <= token < size)
        return b"".join(pieces).decode(errors="replace")

    def embed(
        self, texts: Sequence[str], is_cancelled: IsCancelled, *, truncate: bool
    ) -> Embeddings:
        """Embed each text separately; ``truncate``: the first tokens that fit.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` or ``REQUEST_INVALID``, naming the text.
            EngineError: ``ENGINE_ANSWER``, llama.cpp failed or returned invalid numbers.
            Cancelled: the caller has disconnected.
        """
        given = [self._tokens(text, index, truncate=truncate) for index, text in enumerate(texts)]
        vectors = []
        for tokens in given:
            with self._queue:
                # Checked after the wait in the queue, which may have taken long.
                require_waiting(is_cancelled)
                vectors.append(self._vector(tokens))
        return Embeddings(
            [vector.astype("<f4", copy=False).tobytes() for vector in vectors],
            self._dimensions,
            [len(tokens) for tokens in given],
        )

    def _tokens(self, text: str, index: int, *, truncate: bool) -> list[int]:
        limit = self._config.context_tokens
        if truncate:
            tokens = self._shortened(self.tokenize(text), limit)
        else:
            tokens = self._measured(text, limit, f"input {index}", f"input[{index}]")
        if len(tokens) > limit:
            raise too_long(f"input {index} has {len(tokens)} tokens", limit, f"input[{index}]")
        if not tokens:
            message = f"input {index} has no tokens"
            raise failure("REQUEST_INVALID", message, where=f"input[{index}]")
        return tokens

    def _shortened(self, tokens: list[int], limit: int) -> list[int]:
        if len(tokens) <= limit:
            return tokens
        # A special token at the end stays: it has no text.
        after = 0 if native.piece(self._loaded, tokens[-1]) else 1
        return [*tokens[: limit - after], *tokens[len(tokens) - after :]]

    def _measured(self, text: str, most: int, what: str, where: str) -> list[int]:
        tokenize = partial(native.tokenize, self._loaded, add=True, parse=False)
        require_fitting(text, most, tokenize, what, where)
        with large_text(len(text)):
            return tokenize(text)

    def _vector(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        if self._loaded.memory is not None:
            native.forget(self._loaded, wipe=True)
        given = np.asarray(tokens, dtype=np.int32)
        native.decode(self._loaded, given, np.ones(len(given), dtype=np.int8))
        pointer = llama_cpp.llama_get_embeddings_seq(self._loaded.context, 0)
        vector = native.numbers(pointer, self._dimensions)
        if self._config.normalize:
            vector /= np.maximum(np.linalg.norm(vector), _SMALLEST_NORM)
        if not np.isfinite(vector).all():
            raise failure("ENGINE_ANSWER", "a vector contains infinite or missing values")
        return vector

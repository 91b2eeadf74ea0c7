"""A causal language model: tokens in, logits out, with its key-value cache.

Raises errors for models without such a cache, and for logits that are not valid numbers. Imports
the engine, so only modules that are imported in ``load`` may import this module.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mealkit.engines.transformers.config import ModelConfig
from mealkit.engines.transformers.loading import load_model
from mealkit.engines.transformers.tokenizer import converted
from mealkit.engines.transformers.torch_problems import engine_problems
from mealkit.errors import failure
from mealkit.worker.model_files import positions_of
from mealkit.worker.tokenizer.vocabulary import Vocabulary


class CausalModel(Vocabulary):
    """A ``TokenModel``: one sequence at a time, so that no sequence changes another."""

    def __init__(self, config: ModelConfig) -> None:
        root = config.root
        super().__init__(root, converted)
        self._model = load_model("AutoModelForCausalLM", config)
        self._device = config.device
        self._cache: Any = None
        # A long prompt has vocabulary times length logits; only the last ones are needed.
        takes = inspect.signature(self._model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._context_tokens = positions_of(root)
        # Errors of the first token are raised now, before the first request.
        with engine_problems("ENGINE_START", "at the first token", str(root)):
            self._vocabulary_size = len(self._step([self.first_id], None))
            self._cache = None

    @property
    def context_tokens(self) -> int:
        """The maximum number of tokens that the model has positions for."""
        return self._context_tokens

    @property
    def vocabulary_size(self) -> int:
        """The number of logits; some models have more than their tokenizer has tokens."""
        return self._vocabulary_size

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Clear the sequence, read at least one token, and return the next token's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        self._cache = None
        with engine_problems("ENGINE_ANSWER", f"while it read {len(tokens)} tokens"):
            return self._step(tokens, None)

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the next token's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        with engine_problems("ENGINE_ANSWER", "while it generated"):
            return self._step([token_id], self._cache)

    def _step(self, tokens: Sequence[int], cache: Any) -> NDArray[np.float32]:
        ids = torch.tensor([list(tokens)], dtype=torch.int64, device=self._device)
        options = {"use_cache": True, "return_dict": True, **self._options}
        with torch.inference_mode():
            found = self._model(input_ids=ids, past_key_values=cache, **options)
        self._cache = getattr(found, "past_key_values", None)
        if self._cache is None:
            raise failure("ENGINE_START", "the model has no cache of keys and values")
        logits: NDArray[np.float32] = found.logits[0, -1].float().cpu().numpy()
        if np.isnan(logits).any():
            raise failure("ENGINE_ANSWER", "the model's logits are not numbers")
        return logits

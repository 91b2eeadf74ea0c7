"""A causal language model as tokens in, logits out, with its key-value cache.

Refuses: models without such a cache, and logits that are no numbers. Imports the engine, so only
what is imported in ``load`` may import this module.
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mealkit.engines.transformers.config import ModelConfig
from mealkit.engines.transformers.files import positions_of, read_json
from mealkit.engines.transformers.loading import load_model
from mealkit.engines.transformers.pieces import pieces_of
from mealkit.engines.transformers.problems import engine_problems
from mealkit.engines.transformers.tokenizer import (
    open_tokenizer,
    require_unicode,
    special_tokens_of,
)
from mealkit.errors import failure


class CausalModel:
    """A ``TokenModel``: one sequence at a time, never beside another, so that none changes it."""

    def __init__(self, config: ModelConfig) -> None:
        root = config.root
        self._model = load_model("AutoModelForCausalLM", config)
        self._device = config.device
        self._cache: Any = None
        # The logits of a long prompt are vocabulary times length; only the last are needed.
        takes = inspect.signature(self._model.forward).parameters
        self._options = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._tokenizer = open_tokenizer(root)
        self._plain = open_tokenizer(root)
        # Text that spells a special token is text, unless a chat template wrote it.
        self._plain.encode_special_tokens = True
        self._special_tokens = special_tokens_of(root)
        self._around = _around(root, self._special_tokens, self._tokenizer)
        self._pieces = pieces_of(self._tokenizer.to_str(), str(root))
        self._chat_template = _chat_template(root)
        self._end_ids = _end_ids(root, self._special_tokens, self._tokenizer)
        self._context_tokens = positions_of(root)
        # Whatever fails at the first token fails now, before anyone asks.
        with engine_problems("ENGINE_START", "at the first token", str(root)):
            self._vocabulary_size = len(self._step([min(self._pieces)], None))
            self._cache = None

    @property
    def context_tokens(self) -> int:
        """The most tokens that the model has positions for."""
        return self._context_tokens

    @property
    def vocabulary_size(self) -> int:
        """How many logits there are; some models have more than their tokenizer has tokens."""
        return self._vocabulary_size

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens that the model's own files name as its end."""
        return self._end_ids

    @property
    def chat_template(self) -> str | None:
        """chat_template.jinja, or else what tokenizer_config.json has."""
        return self._chat_template

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The texts that a chat template may name: ``bos_token``, ``eos_token``, ..."""
        return self._special_tokens

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Return a text's tokens: of a rendered template, or of plain text, whatever it says.

        Raises:
            RequestError: ``REQUEST_INVALID``, it has half of a surrogate pair.
        """
        require_unicode(text)
        if special:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if self._around is None:
            return list(self._plain.encode(text).ids)
        before, after = self._around
        return [*before, *self._plain.encode(text, add_special_tokens=False).ids, *after]

    def piece(self, token_id: int) -> bytes:
        """Return the bytes that a token stands for: none for a special token or an unused id."""
        return self._pieces.get(token_id, b"")

    def begin(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Forget everything, read these tokens, at least one; return the next one's logits.

        Raises:
            EngineError: ``ENGINE_OUT_OF_MEMORY`` or ``ENGINE_ANSWER``.
        """
        self._cache = None
        with engine_problems("ENGINE_ANSWER", f"while it read {len(tokens)} tokens"):
            return self._step(tokens, None)

    def advance(self, token_id: int) -> NDArray[np.float32]:
        """Append a token; return the next one's logits.

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
            raise failure("ENGINE_START", "the model keeps no cache of keys and values")
        logits: NDArray[np.float32] = found.logits[0, -1].float().cpu().numpy()
        if np.isnan(logits).any():
            raise failure("ENGINE_ANSWER", "the model's logits are not numbers")
        return logits


def _around(
    root: Path, special: Mapping[str, str], tokenizer: Any
) -> tuple[list[int], list[int]] | None:
    """Return what goes before and after a plain text, where tokenizer_config.json says so.

    It wins over tokenizer.json, as it does in transformers; None: only tokenizer.json says it.
    """
    stated = read_json(root / "tokenizer_config.json")
    if not {"add_bos_token", "add_eos_token"} & stated.keys():
        return None

    def added(role: str) -> list[int]:
        token_id = tokenizer.token_to_id(special.get(f"{role}_token", ""))
        return [token_id] if stated.get(f"add_{role}_token") and token_id is not None else []

    return added("bos"), added("eos")


def _end_ids(root: Path, special: Mapping[str, str], tokenizer: Any) -> frozenset[int]:
    stated = [
        read_json(root / name).get("eos_token_id")
        for name in ("generation_config.json", "config.json")
    ]
    stated.append(tokenizer.token_to_id(special.get("eos_token", "")))
    return frozenset(
        token_id
        for item in stated
        for token_id in (item if isinstance(item, list) else [item])
        if isinstance(token_id, int)
    )


def _chat_template(root: Path) -> str | None:
    path = root / "chat_template.jinja"
    if path.is_file():
        return path.read_text("utf-8")
    stated = read_json(root / "tokenizer_config.json").get("chat_template")
    if isinstance(stated, list):  # several, by name
        named = {item.get("name"): item.get("template") for item in stated}
        stated = named.get("default")
    return stated if isinstance(stated, str) else None

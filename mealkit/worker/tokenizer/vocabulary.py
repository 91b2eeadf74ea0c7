"""The part of a ``TokenModel`` that is read from files: tokens, bytes, end tokens, chat template.

For engines whose models have a tokenizer.json; an engine with its own tokenizer, such as llama.cpp,
does not use it. Imports the package tokenizers, so only modules that ``load`` imports may import
this one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mealkit.errors import failure
from mealkit.worker.model_files import chat_template_of, read_json
from mealkit.worker.tokenizer.token_bytes import pieces_of
from mealkit.worker.tokenizer.tokenizer_file import (
    TOKENIZER_FILE,
    Convert,
    open_tokenizer,
    require_unicode,
)

# The maximum number of unused ids in a vocabulary: some reserve thousands.
_MOST_UNUSED = 1_000_000


class Vocabulary:
    """The vocabulary of a model, from the files in its folder."""

    def __init__(self, root: Path, convert: Convert | None = None) -> None:
        """Read the files of a folder; ``convert`` converts older tokenizer files.

        Raises:
            EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``.
        """
        self._tokenizer = open_tokenizer(root, convert)
        self._special_tokens = _special_tokens(root)
        self._around = _around(root, self._special_tokens, self._tokenizer)
        _require_dense(self._tokenizer, root)
        self._pieces = pieces_of(self._tokenizer.to_str(), str(root))
        self._chat_template = chat_template_of(root)
        self._end_ids = _end_ids(root, self._special_tokens, self._tokenizer)

    @property
    def end_ids(self) -> frozenset[int]:
        """The end tokens that the model's files name."""
        return self._end_ids

    @property
    def chat_template(self) -> str | None:
        """The text of chat_template.jinja, or the template in tokenizer_config.json."""
        return self._chat_template

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """The special tokens that a chat template may use: ``bos_token``, ``eos_token``, ..."""
        return self._special_tokens

    @property
    def first_id(self) -> int:
        """An existing token, to test a model with."""
        return min(self._pieces)

    def tokenize(self, text: str, *, rendered: bool) -> list[int]:
        """Return a text's tokens; unless ``rendered``, with those that belong around a text.

        Raises:
            RequestError: ``REQUEST_INVALID``, the text has half of a surrogate pair.
        """
        require_unicode(text)
        if rendered:
            return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if self._around is None:
            return list(self._tokenizer.encode(text).ids)
        before, after = self._around
        return [*before, *self._tokenizer.encode(text, add_special_tokens=False).ids, *after]

    def piece(self, token_id: int) -> bytes:
        """Return the bytes of a token; empty for a special token or an unused id."""
        return self._pieces.get(token_id, b"")


def end_ids_in(stated: Any) -> frozenset[int]:
    """Return the tokens of an ``eos_token_id``, which may be one, several, or none."""
    items = stated if isinstance(stated, list) else [stated]
    return frozenset(item for item in items if type(item) is int)


def _require_dense(tokenizer: Any, root: Path) -> None:
    """Raise for ids far beyond the number of tokens, because the loop visits all ids."""
    known = tokenizer.get_vocab(with_added_tokens=True)
    highest = max(known.values(), default=0)
    if highest > len(known) + _MOST_UNUSED:
        message = f"the tokenizer has the id {highest} and {len(known)} tokens"
        raise failure("ENGINE_START", message, where=str(root / TOKENIZER_FILE))


def _special_tokens(root: Path) -> Mapping[str, str]:
    stated = {
        **read_json(root / "special_tokens_map.json"),
        **read_json(root / "tokenizer_config.json"),
    }
    found = {
        name: value.get("content") if isinstance(value, dict) else value
        for name, value in stated.items()
        if name.endswith("_token") and not name.startswith("add_")
    }
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _around(
    root: Path, special: Mapping[str, str], tokenizer: Any
) -> tuple[list[int], list[int]] | None:
    """Return the tokens before and after a plain text, according to tokenizer_config.json.

    It takes precedence over tokenizer.json, as in transformers; None if it does not set them.
    """
    stated = read_json(root / "tokenizer_config.json")
    if not {"add_bos_token", "add_eos_token"} & stated.keys():
        return None

    def added(role: str) -> list[int]:
        token_id = tokenizer.token_to_id(special.get(f"{role}_token", ""))
        return [token_id] if stated.get(f"add_{role}_token") and token_id is not None else []

    return added("bos"), added("eos")


def _end_ids(root: Path, special: Mapping[str, str], tokenizer: Any) -> frozenset[int]:
    found = end_ids_in(tokenizer.token_to_id(special.get("eos_token", "")))
    for name in ("generation_config.json", "config.json"):
        found |= end_ids_in(read_json(root / name).get("eos_token_id"))
    return found

"""The half of a ``TokenModel`` that lies in files: tokens, their bytes, ends, the chat template.

For engines whose models come with a tokenizer.json; one that brings a tokenizer of its own, as
llama.cpp does, needs none of it. Imports the package tokenizers, so only what is imported in
``load`` may import this module.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mealkit.errors import failure
from mealkit.worker.model_files import read_json, read_text
from mealkit.worker.tokenizer.token_bytes import pieces_of
from mealkit.worker.tokenizer.tokenizer_file import (
    TOKENIZER_FILE,
    Convert,
    open_tokenizer,
    require_unicode,
)

# Ids that a vocabulary leaves out: some reserve thousands.
_MOST_UNUSED = 1_000_000


class Vocabulary:
    """What the files beside a model's weights say of its tokens."""

    def __init__(self, root: Path, convert: Convert | None = None) -> None:
        """Read the files of a folder; ``convert`` makes a tokenizer.json of older ones.

        Raises:
            EngineError: ``WEIGHTS_MISSING`` or ``ENGINE_START``.
        """
        self._tokenizer = open_tokenizer(root, convert)
        self._plain = open_tokenizer(root, convert)
        # Text that spells a special token is text, unless a chat template wrote it.
        self._plain.encode_special_tokens = True
        self._special_tokens = _special_tokens(root)
        self._around = _around(root, self._special_tokens, self._tokenizer)
        _require_dense(self._tokenizer, root)
        self._pieces = pieces_of(self._tokenizer.to_str(), str(root))
        self._chat_template = _chat_template(root)
        self._end_ids = _end_ids(root, self._special_tokens, self._tokenizer)

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

    @property
    def first_id(self) -> int:
        """A token that there is, for a model to be tried with."""
        return min(self._pieces)

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


def end_ids_in(stated: Any) -> frozenset[int]:
    """Return the tokens that an ``eos_token_id`` names: one, several, or none."""
    items = stated if isinstance(stated, list) else [stated]
    return frozenset(item for item in items if type(item) is int)


def _require_dense(tokenizer: Any, root: Path) -> None:
    """Refuse ids far beyond the number of tokens: writing a vocabulary goes through all of them."""
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
    found = end_ids_in(tokenizer.token_to_id(special.get("eos_token", "")))
    for name in ("generation_config.json", "config.json"):
        found |= end_ids_in(read_json(root / name).get("eos_token_id"))
    return found


def _chat_template(root: Path) -> str | None:
    path = root / "chat_template.jinja"
    if path.is_file():
        return read_text(path)
    stated = read_json(root / "tokenizer_config.json").get("chat_template")
    if isinstance(stated, list):  # several, by name
        named = [item for item in stated if isinstance(item, dict)]
        # Of several with one name, the last one counts.
        found = [item.get("template") for item in named if item.get("name") == "default"]
        stated = found[-1] if found else None
    return stated if isinstance(stated, str) else None

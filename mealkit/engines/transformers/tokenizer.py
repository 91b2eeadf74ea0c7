"""Text to tokens and back with the model's own tokenizer, of which no length setting is used.

Refuses: a folder without a tokenizer, and texts that are too long or empty. Imports the engine's
packages, so only what is imported in ``load`` may import this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mealkit.engines.transformers.files import read_json
from mealkit.engines.transformers.problems import engine_problems
from mealkit.errors import failure

_FILE = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one input, special tokens included."""

    ids: Sequence[int]
    type_ids: Sequence[int]


class TextTokenizer:
    """Tokenizes whole texts, and pairs of them, up to ``max_length`` tokens each."""

    def __init__(self, root: Path, max_length: int) -> None:
        self._tokenizer = open_tokenizer(root)
        self._max_length = max_length

    def text(self, text: str, index: int) -> Tokens:
        """Tokenize the input ``index`` with the special tokens that the model was trained with.

        Raises:
            RequestError: ``REQUEST_TOO_LONG`` with the number of tokens and the limit;
                ``REQUEST_INVALID``, it has no tokens.
        """
        require_unicode(text)
        return self._checked(self._tokenizer.encode(text), f"input {index}", f"input[{index}]")

    def pair(self, query: str, document: str, index: int) -> Tokens:
        """Tokenize a query and the document ``index`` as the model was trained to see them.

        Raises:
            RequestError: as ``text``.
        """
        require_unicode(query + document)
        found = self._tokenizer.encode(query, document)
        return self._checked(found, f"the query with document {index}", f"documents[{index}]")

    def _checked(self, found: Any, name: str, where: str) -> Tokens:
        count = len(found.ids)
        if count > self._max_length:
            message = f"{name} has {count} tokens, the limit is {self._max_length}"
            raise failure("REQUEST_TOO_LONG", message, where=where)
        if not count:
            raise failure("REQUEST_INVALID", f"{name} has no tokens", where=where)
        return Tokens(found.ids, found.type_ids)


def open_tokenizer(root: Path) -> Tokenizer:
    """Open tokenizer.json, or else what transformers makes of the older files.

    Raises:
        EngineError: ``ENGINE_START``, there is none, or it cannot be read.
    """
    path = root / _FILE
    with engine_problems("ENGINE_START", "while it read the tokenizer", str(path)):
        tokenizer = Tokenizer.from_file(str(path)) if path.is_file() else _converted(root)
    # all-MiniLM-L6-v2's would cut at 128 tokens, and fill up to 128, while the model takes 256.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def require_unicode(text: str) -> None:
    """Refuse half of a surrogate pair: JSON can write it, and it is no text.

    Raises:
        RequestError: ``REQUEST_INVALID``.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise failure("REQUEST_INVALID", "the text has half of a surrogate pair") from error


def special_tokens_of(root: Path) -> Mapping[str, str]:
    """Return the texts of the tokens that have a role: ``bos_token``, ``eos_token``, ...

    Raises:
        EngineError: ``ENGINE_START``, the file that says so cannot be read.
    """
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


def _converted(root: Path) -> Tokenizer:
    from transformers import AutoTokenizer  # noqa: PLC0415 - a second, for the few that need it

    found = AutoTokenizer.from_pretrained(
        str(root), use_fast=True, local_files_only=True, trust_remote_code=False
    )
    if not getattr(found, "is_fast", False):
        message = f"there is no {_FILE}, and the older files cannot be made into one"
        hint = f"name a {_FILE} in model.weights"
        raise failure("ENGINE_START", message, where=str(root), hint=hint)
    tokenizer: Tokenizer = found.backend_tokenizer
    return tokenizer

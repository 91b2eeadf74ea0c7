"""Reads the bytes of each token from the description of the decoder in tokenizer.json.

Raises EngineError for decoders whose tokens have no fixed bytes, such as WordPiece. Standard
library only. Byte-level tokens: GPT-2 (Radford et al. 2019, section 2.2) writes every byte as one
printable character; byte fallback: SentencePiece writes a byte that no token has as ``<0xNN>``.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mealkit.errors import failure

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"


def pieces_of(description: str, where: str) -> Mapping[int, bytes]:
    """Return the bytes of each token of a tokenizer.json; empty for special tokens.

    Raises:
        EngineError: ``ENGINE_START``, the decoder is not supported.
    """
    stated = json.loads(description)
    read = _reader(stated, where)
    pieces = {token_id: read(text) for text, token_id in _vocabulary(stated["model"])}
    for added in stated["added_tokens"]:
        pieces[added["id"]] = b"" if added["special"] else added["content"].encode()
    return pieces


def _vocabulary(model: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield text and id of each token; Unigram's vocabulary is a list of texts and scores."""
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        yield from vocabulary.items()
    else:
        yield from ((text, token_id) for token_id, (text, _) in enumerate(vocabulary))


def _reader(stated: Mapping[str, Any], where: str) -> Callable[[str], bytes]:
    decoder = stated["decoder"] or {}
    steps = decoder.get("decoders", [decoder])
    kinds = {step.get("type") for step in steps}
    if "ByteLevel" in kinds:
        return _byte_level
    replaces = any(
        step.get("type") == "Replace" and step.get("pattern") == {"String": _SPACE}
        for step in steps
    )
    if replaces or "Metaspace" in kinds:
        return _with_fallback if "ByteFallback" in kinds else _with_spaces
    found = ", ".join(sorted(str(kind) for kind in kinds))
    message = f"the tokenizer's decoder ({found}) does not define the bytes of a token"
    raise failure("ENGINE_START", message, where=where)


def _byte_of_character() -> Mapping[str, int]:
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    return {
        **{chr(byte): byte for byte in printable},
        **{chr(0x100 + place): byte for place, byte in enumerate(others)},
    }


_BYTES = _byte_of_character()


def _byte_level(text: str) -> bytes:
    try:
        return bytes(_BYTES[character] for character in text)
    except KeyError:  # a token that was added unencoded in the training
        return text.encode()


def _with_fallback(text: str) -> bytes:
    found = _BYTE.fullmatch(text)
    return bytes([int(found[1], 16)]) if found else _with_spaces(text)


def _with_spaces(text: str) -> bytes:
    return text.replace(_SPACE, " ").encode()

"""Reads typed fields of untrusted JSON: a number, a name or a map, or nothing."""

from collections.abc import Mapping
from typing import Any

MOST = 2**31
"""The maximum for a model's numbers; larger values are ignored."""
_MAX_NAME_CHARACTERS = 128
POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
"""The names of the number of positions in different families of models, the first one counts."""
# Families that number the positions of an input from pad_token_id + 1 on, so that the table of
# positions has rows that no input uses: create_position_ids_from_input_ids in transformers.
_AFTER_PADDING = frozenset(
    {
        *("camembert", "data2vec-text", "ibert", "layoutlmv3", "lilt", "longformer", "luke"),
        *("markuplm", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta"),
        *("xlm-roberta-xl", "xmod"),
    }
)
_USUAL_PADDING = 1


def number_of(fields: Mapping[str, Any], *names: str) -> int:
    """Return the first of the fields that is a whole number from 1 to `MOST`; 0 if none is."""
    for name in names:
        found = fields.get(name)
        if type(found) is int and 0 < found <= MOST:
            return found
    return 0


def positions_of(config: Mapping[str, Any]) -> int:
    """Return the longest input of a model in tokens, from its config.json; 0 if none is stated."""
    text = {**config, **part_of(config, "text_config")}
    stated = number_of(text, *POSITIONS)
    if not _is_after_padding(text):
        return stated
    padding = text.get("pad_token_id")
    unused = (padding if type(padding) is int and padding >= 0 else _USUAL_PADDING) + 1
    return stated - unused if stated > unused else stated


def _is_after_padding(text: Mapping[str, Any]) -> bool:
    kind = name_of(text.get("model_type"))
    if kind is not None:
        return kind in _AFTER_PADDING
    named = text.get("architectures")
    first = str(named[0]).lower() if isinstance(named, list) and named else ""
    return first.startswith(tuple(item.replace("-", "") for item in _AFTER_PADDING))


def name_of(value: object) -> str | None:
    """Return the value if it is a name that fits on a line, else None."""
    if isinstance(value, str) and len(value) <= _MAX_NAME_CHARACTERS and value.isprintable():
        return value or None
    return None


def numbers_of(value: object) -> list[int]:
    """Return the whole numbers of a value, which may have one for each layer."""
    several = value if isinstance(value, (tuple, list)) else ()
    return [item for item in several if type(item) is int]


def part_of(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a field that is a map; an empty map if there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}

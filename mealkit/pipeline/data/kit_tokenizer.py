"""Opens the tokenizer that a kit's lock pins, to count tokens on this machine.

The file is data: the tokenizers library parses it, and no code of the kit runs. It is limited in
size, and its regular expressions are checked first, because the library runs them with an engine
that backtracks.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from mealkit.contract.profiler import Tokenizer
from mealkit.errors import Problem, problem
from mealkit.pipeline.data.pattern_cost import is_cheap
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.untrusted import UntrustedError, parse_json, read_file, shown

_FILE = "tokenizer.json"
_MAX_BYTES = 64 * 1024 * 1024
_MAX_VALUES = 20_000_000


def tokenizer_of(kit: OpenedKit, lock: Lock, home: Home, progress: Progress) -> Tokenizer | Problem:
    """Return the tokenizer of a kit, or the reason why there is none.

    Raises:
        SourceError: the pinned file cannot be fetched.
    """
    from mealkit.pipeline.image.fetching_inputs import fetch_weight_files

    found = [file for file in lock.model.files if Path(file.path).name == _FILE]
    if len(found) != 1:
        return _unusable(f"the kit has {len(found)} files {_FILE}")
    path = fetch_weight_files(kit, found, home, progress)[found[0].sha256]
    return opened_tokenizer(path)


def opened_tokenizer(path: Path) -> Tokenizer | Problem:
    """Open a tokenizer's file, or return why it cannot be used."""
    try:
        data = read_file(path, _MAX_BYTES)
        form = parse_json(data, max_values=_MAX_VALUES, as_python=True)
    except UntrustedError as error:
        return _unusable(f"{_FILE} cannot be read: {error}")
    for pattern in _patterns(form):
        if not is_cheap(pattern):
            return _unusable(f"{_FILE} has a regular expression that may hang: {shown(pattern)}")
    try:
        from tokenizers import Tokenizer as Reader
    except ImportError:
        return problem("DATA_EXTRA", "the package tokenizers is not installed")
    try:
        reader = Reader.from_str(data.decode())
    except Exception as error:  # noqa: BLE001  its errors are bare Exceptions
        return _unusable(f"{_FILE} cannot be read: {str(error)[:200]}")
    # As the image's worker: a model's own limit must not hide a text's length.
    reader.no_truncation()
    reader.no_padding()

    @lru_cache(maxsize=4)  # the rule and the profile need the same text's tokens
    def encode(text: str) -> list[int]:
        ids: list[int] = reader.encode(text).ids
        return ids

    return Tokenizer(encode, _unknown(form, reader))


def _unknown(form: Any, reader: Any) -> int | None:
    model = form.get("model")
    name = model.get("unk_token") if isinstance(model, dict) else None
    number: int | None = reader.token_to_id(name) if isinstance(name, str) else None
    return number


def _patterns(form: Any) -> Iterator[str]:
    """Yield the regular expressions, ``{"Regex": ...}``, of every part but the vocabulary."""
    waiting = (
        [value for name, value in form.items() if name != "model"] if isinstance(form, dict) else []
    )
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            pattern = item.get("Regex")
            if isinstance(pattern, str):
                yield pattern
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _unusable(message: str) -> Problem:
    hint = "the kit counts tokens itself: its gateway checks the rule"
    return problem("DATA_TOKENIZER", f"tokens are not counted: {message}", hint=hint)

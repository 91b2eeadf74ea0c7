"""Opens a model's tokenizer.json, without truncation and without padding.

Imports the package tokenizers, so only modules that ``load`` imports may import this one.
"""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from mealkit.errors import failure
from mealkit.worker.model_files import require_file

TOKENIZER_FILE = "tokenizer.json"
# The files of the largest vocabularies, some 260,000 tokens, have 35 MB.
_MAX_BYTES = 256 * 1024 * 1024

Convert = Callable[[Path], Tokenizer]
"""Converts a folder's older tokenizer files into a tokenizer."""


def open_tokenizer(root: Path, convert: Convert | None = None) -> Tokenizer:
    """Open tokenizer.json, or convert the older files with ``convert``.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, no tokenizer; ``ENGINE_START``, it cannot be read.
    """
    path = root / TOKENIZER_FILE
    tokenizer = convert(root) if convert and not path.is_file() else _read(path)
    # all-MiniLM-L6-v2's file truncates and pads to 128 tokens, but the model accepts 256.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def require_unicode(text: str) -> None:
    """Raise for half of a surrogate pair, which JSON can contain, but which is not text.

    Raises:
        RequestError: ``REQUEST_INVALID``.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise failure("REQUEST_INVALID", "the text has half of a surrogate pair") from error


def _read(path: Path) -> Tokenizer:
    require_file(path)
    size_bytes = path.stat().st_size
    if size_bytes > _MAX_BYTES:
        message = f"the tokenizer has {size_bytes} bytes, more than {_MAX_BYTES}"
        raise failure("ENGINE_START", message, where=str(path))
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # its errors are bare Exceptions
        message = f"the tokenizer cannot be read: {error}"
        raise failure("ENGINE_START", message, where=str(path)) from error

"""A model's own tokenizer.json, opened so that nothing is cut and nothing is filled up.

Imports the package tokenizers, so only what is imported in ``load`` may import this module.
"""

from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer

from mealkit.errors import failure
from mealkit.worker.model_files import require_file

TOKENIZER_FILE = "tokenizer.json"
# Those of the largest vocabularies, of some 260,000 tokens, have 35 MB.
_MAX_BYTES = 256 * 1024 * 1024

Convert = Callable[[Path], Tokenizer]
"""What makes a tokenizer of a folder's older files."""


def open_tokenizer(root: Path, convert: Convert | None = None) -> Tokenizer:
    """Open tokenizer.json, or else what ``convert`` makes of the older files.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, there is none; ``ENGINE_START``, it cannot be read.
    """
    path = root / TOKENIZER_FILE
    tokenizer = convert(root) if convert and not path.is_file() else _read(path)
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

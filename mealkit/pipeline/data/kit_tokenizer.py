"""Opens the tokenizer that a kit's lock pins, to count tokens on this machine.

The file is data: the tokenizers library parses it, and no code of the kit runs. It is limited in
size, and its regular expressions are checked first, because the library runs them with an engine
that backtracks.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.contract.profiler import Tokenizer
from mealkit.digest import Digest
from mealkit.errors import Problem, failure, problem
from mealkit.pipeline.data.pattern_cost import is_cheap
from mealkit.pipeline.data.stated_contract import StatedContract
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.pipeline.targets import ImageTarget
from mealkit.progress import Progress
from mealkit.recipe.locked_file import LockedFile
from mealkit.untrusted import UntrustedError, parse_json, read_file, shown

if TYPE_CHECKING:
    from mealkit.sources.file_cache import FileCache

_FILE = "tokenizer.json"
_MAX_BYTES = 64 * 1024 * 1024
_MAX_VALUES = 20_000_000


def tokenizer_of(stated: StatedContract, home: Home, progress: Progress) -> Tokenizer | Problem:
    """Return the tokenizer that a lock pins, or the reason why there is none.

    Raises:
        SourceError: no place of the kit has the pinned file.
        StoreError: the image cannot be read; the disk is full.
    """
    if stated.lock is None:
        return _unusable("the kit has no lock that pins its tokenizer", "mealkit lock")
    found = [file for file in stated.lock.model.files if Path(file.path).name == _FILE]
    if len(found) != 1:
        return _unusable(f"the kit has {len(found)} files {_FILE}")
    path = _on_this_machine(found[0], stated.place, home, progress)
    if path is None:
        what = "a lock has no files" if stated.place is None else f"the image has no file {_FILE}"
        return _unusable(what, "name the kit's folder, or its image with weights")
    return opened_tokenizer(path)


def _on_this_machine(
    file: LockedFile, place: OpenedKit | ImageTarget | None, home: Home, progress: Progress
) -> Path | None:
    from mealkit.pipeline.image.fetching_inputs import fetch_weight_files
    from mealkit.sources.file_cache import FileCache

    if isinstance(place, OpenedKit):
        return fetch_weight_files(place, [file], home, progress)[file.sha256]
    cache = FileCache(home.files)
    path = cache.path(file.sha256)
    return path if path or place is None else _from_image(file, place, home, cache)


def _from_image(
    file: LockedFile, target: ImageTarget, home: Home, cache: "FileCache"
) -> Path | None:
    from mealkit.pipeline.image.weights_in_image import weights_in_image
    from mealkit.pipeline.opening_images import open_image

    def require(digest: Digest) -> None:
        if digest != file.sha256:
            message = f"the image has other bytes at {file.path} than its lock pins"
            raise failure("BLOB_DAMAGED", message, measured=digest, required=file.sha256)

    with open_image(target, home) as image:
        inside = weights_in_image(image, [file]).get(file.path)
        if inside is None or inside.size_bytes > _MAX_BYTES:
            return None
        return cache.add_chunks(inside.chunks(), inside.size_bytes, require)[1]


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


def _unusable(
    message: str, hint: str = "the kit counts tokens itself: its gateway checks the rule"
) -> Problem:
    return problem("DATA_TOKENIZER", f"tokens are not counted: {message}", hint=hint)

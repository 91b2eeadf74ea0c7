"""Reads the JSON files of a model, in Hugging Face's formats, such as config.json.

Raises EngineError for files that are not JSON objects, or far larger than any model's. Standard
library only.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mealkit.errors import MealkitError, failure
from mealkit.memory import config_fields
from mealkit.untrusted import UntrustedError, parse_json_object, read_file

_UNBOUNDED = 2**31
# tokenizer_config.json may list a hundred thousand tokens.
_MAX_BYTES = 64 * 1024 * 1024
_MAX_VALUES = 4_000_000


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object; return an empty one if the file is missing.

    Raises:
        EngineError: ``ENGINE_START``, the file is not a JSON object.
    """
    if not path.is_file():
        return {}
    return _parsed(path, read_whole(path))


def read_text(path: Path) -> str:
    """Read a text file.

    Raises:
        EngineError: ``ENGINE_START``, the file cannot be read, or is not UTF-8.
    """
    try:
        return read_whole(path).decode()
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"byte {error.start} is not UTF-8") from error


def read_whole(path: Path) -> bytes:
    """Read a file of normal size.

    Raises:
        EngineError: ``ENGINE_START``, the file cannot be read, or is too large.
    """
    try:
        return read_file(path, _MAX_BYTES)
    except UntrustedError as error:
        raise _unreadable(path, str(error)) from error
    except OSError as error:
        raise _unreadable(path, str(error.strerror)) from error


def require_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object from a required file.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, or ``ENGINE_START``, the file is not a JSON object.
    """
    require_file(path)
    return read_json(path)


def require_file(path: Path) -> None:
    """Raise if a model lacks this file.

    Raises:
        EngineError: ``WEIGHTS_MISSING``, naming the file.
    """
    if not path.is_file():
        raise failure("WEIGHTS_MISSING", f"{path.name} is missing", where=str(path))


def positions_of(root: Path) -> int:
    """Return the maximum length of a sequence in config.json; a very large number without one.

    Raises:
        EngineError: ``ENGINE_START``, the file cannot be read.
    """
    return config_fields.positions_of(read_json(root / "config.json")) or _UNBOUNDED


def chat_template_of(root: Path) -> str | None:
    """Return the text of chat_template.jinja, or the template in tokenizer_config.json.

    Raises:
        EngineError: ``ENGINE_START``, a file cannot be read.
    """
    path = root / "chat_template.jinja"
    if path.is_file():
        return read_text(path)
    return template_in(read_json(root / "tokenizer_config.json"))


def template_in(tokenizer_config: Mapping[str, Any]) -> str | None:
    """Return the chat template in the content of a tokenizer_config.json."""
    stated = tokenizer_config.get("chat_template")
    if isinstance(stated, list):  # several templates, with names
        named = [item for item in stated if isinstance(item, dict)]
        # If several have the same name, the last one counts.
        found = [item.get("template") for item in named if item.get("name") == "default"]
        stated = found[-1] if found else None
    return stated if isinstance(stated, str) else None


def object_of(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the object in a field; an empty one if the field is missing or not an object."""
    found = values.get(name)
    return found if isinstance(found, dict) else {}


def _parsed(path: Path, data: bytes) -> Mapping[str, Any]:
    try:
        return parse_json_object(data, max_values=_MAX_VALUES, as_python=True)
    except UntrustedError as error:
        raise _unreadable(path, str(error)) from error


def _unreadable(path: Path, why: str) -> MealkitError:
    return failure("ENGINE_START", f"{path.name} cannot be read: {why}", where=str(path))

"""Reads a file of operations for a deployment: the section ``ops`` of a kit.yaml, or its content.

Raises KitError (``SETTINGS_INVALID``) with the lines of all problems. JSON is YAML, too.
"""

import json
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from mealkit.errors import CATALOGUE, MealkitError, Problem, failure
from mealkit.kit.document import Document, read_document
from mealkit.kit.files import decoded
from mealkit.kit.problems import problems_of
from mealkit.recipe.operations import Operations
from mealkit.untrusted import UntrustedError, read_file

_CODE = "SETTINGS_INVALID"
_MAX_BYTES = 1024 * 1024


def read_operations(path: Path) -> Operations:
    """Return the operations that a file states.

    Raises:
        KitError: ``SETTINGS_INVALID``, the file cannot be read, or is not valid.
    """
    document = _document(path)
    content = document.data
    inner = ("ops",) if isinstance(content, dict) and set(content) == {"ops"} else ()
    stated = content["ops"] if inner else content
    if not isinstance(stated, dict) or not stated:
        message = f"{path} has none of the sections {', '.join(Operations.model_fields)}"
        raise failure(_CODE, message, where=document.where(inner))
    try:
        return Operations.model_validate_json(json.dumps(stated))
    except ValidationError as error:
        raise _error(problems_of(error, Operations, stated, document, inner)) from error


def _document(path: Path) -> Document:
    try:
        text, fault = decoded(read_file(path, _MAX_BYTES))
    except (UntrustedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise failure(_CODE, f"{path} cannot be read: {reason}", where=str(path)) from error
    if fault:
        raise failure(_CODE, f"{path} {fault[0]}", where=str(path), hint=fault[1])
    if all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines()):
        return Document(str(path))
    document, found = read_document(text, str(path), "the file")
    if found:
        raise _error(found)
    return document


def _error(problems: list[Problem]) -> MealkitError:
    entry = CATALOGUE[_CODE]
    return entry.error(*(replace(item, code=_CODE, owner=entry.owner) for item in problems))

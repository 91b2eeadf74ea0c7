"""Reads mealkit's configuration on this machine: which catalogues the user has.

The file is ``mealkit/config.yaml`` below ``XDG_CONFIG_HOME`` (by default ``~/.config``). It is
checked like a kit: unknown fields and wrong values are problems with the line.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mealkit.errors import CATALOGUE, MealkitError, Problem, failure
from mealkit.kit.document import read_document
from mealkit.kit.files import decoded
from mealkit.kit.problems import problems_of
from mealkit.strings import MachinePath
from mealkit.untrusted import UntrustedError, read_file

CATALOGS_VARIABLE = "MEALKIT_CATALOGS"
"""The environment variable with catalogues, with spaces between them; it replaces the file's."""

_CODE = "SETTINGS_INVALID"
_MAX_BYTES = 1024 * 1024
_MOST_CATALOGS = 16


class Configuration(BaseModel):
    """The configuration of a user."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )

    catalogs: Annotated[tuple[MachinePath, ...], Field(max_length=_MOST_CATALOGS)] = ()
    """The catalogues to search for short names, in this order: REGISTRY/NAME or oci:FOLDER."""


def read_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """Return the user's configuration; empty if there is no file.

    Raises:
        KitError: ``SETTINGS_INVALID``, with the lines of all problems.
    """
    stated = environment.get(CATALOGS_VARIABLE)
    if stated is not None:
        return Configuration(catalogs=tuple(stated.split()[:_MOST_CATALOGS]))
    path = configuration_path(environment)
    try:
        raw = read_file(path, _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return Configuration()
    except (UntrustedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise failure(_CODE, f"{path} cannot be read: {reason}", where=str(path)) from error
    return _parsed(raw, path)


def configuration_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the user's configuration."""
    stated = environment.get("XDG_CONFIG_HOME") or environment.get("HOME", "~") + "/.config"
    return Path(stated).expanduser() / "mealkit" / "config.yaml"


def _parsed(raw: bytes, path: Path) -> Configuration:
    text, fault = decoded(raw)
    if fault:
        raise failure(_CODE, f"{path} {fault[0]}", where=str(path), hint=fault[1])
    if all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines()):
        return Configuration()
    document, found = read_document(text, str(path))
    if found:
        raise _error([*found])
    try:
        read = Configuration.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        raise _error(problems_of(error, Configuration, document.data, document)) from error
    folder = path.parent
    return Configuration(catalogs=tuple(_absolute(item, folder) for item in read.catalogs))


def _absolute(catalog: str, folder: Path) -> str:
    """Return a catalogue's name; a folder is relative to the configuration's."""
    scheme, found, rest = catalog.partition(":")
    return f"oci:{folder / Path(rest).expanduser()}" if found and scheme == "oci" else catalog


def _error(problems: list[Problem]) -> MealkitError:
    entry = CATALOGUE[_CODE]
    return entry.error(*(replace(item, code=_CODE, owner=entry.owner) for item in problems))

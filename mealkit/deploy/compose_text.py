"""Writes YAML for Docker's readers of compose files, which replace ``$NAME`` in every value."""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.yaml_text import yaml_document


def compose_document(form: Mapping[str, Any]) -> str:
    """Return a compose file; no text in it is a variable of the machine that reads it."""
    return yaml_document(_literal(form))


def _literal(value: Any) -> Any:
    match value:
        case str():
            return value.replace("$", "$$")
        case Mapping():
            return {key: _literal(item) for key, item in value.items()}
        case list() | tuple():
            return [_literal(item) for item in value]
        case _:
            return value

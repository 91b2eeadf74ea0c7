"""A value in the wrong format is answered with the one that was probably meant."""

import json
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from mealkit import strings
from mealkit.kit.corrections import corrected
from mealkit.kit.document import read_document
from mealkit.kit.problems import problems_of
from mealkit.recipe.kit import Contact, Kit, Paper


def pattern_of(kind: Any) -> str:
    return next(item.pattern for item in get_args(kind)[1:] if getattr(item, "pattern", None))


def told(model: type[BaseModel], field: str, value: str) -> tuple[str, str]:
    """The message and hint for a field of a part of a kit, among those of all that is wrong."""
    data = {field: value}
    document, _ = read_document(json.dumps(data), "kit.yaml")
    with pytest.raises(ValidationError) as error:
        model.model_validate_json(json.dumps(data))
    problems = problems_of(error.value, model, data, document)
    (found,) = (item for item in problems if item.message.startswith(f"{field} is"))
    assert found.where == "kit.yaml:1"
    assert found.owner == "kit-author"
    return found.message, found.hint


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("k1@example.org", "mailto:k1@example.org"),
        ("<k1@example.org>", "mailto:k1@example.org"),
        ("mail: k1@example.org", "mailto:k1@example.org"),
        ("MAILTO:k1@example.org", "mailto:k1@example.org"),
        ("Ann Lee <k1@example.org>", "mailto:k1@example.org"),
        ("www.example.org/help", "https://www.example.org/help"),
        ("http:/example.org", "https://example.org"),
    ],
)
def test_a_contact_says_what_to_write(value, meant):
    """An address without mailto:, and one without https://."""
    _, hint = told(Contact, "contact", value)
    assert hint.startswith(f"write {meant}; ")


@pytest.mark.parametrize(
    ("model", "field", "value", "meant"),
    [
        (Kit, "name", "MyKit", "mykit"),
        (Kit, "name", "My kit", "my-kit"),
        (Kit, "name", "My_Kit!", "my_kit"),
        (Kit, "version", "1.0 beta", "1.0-beta"),
        (Paper, "arxiv", "https://arxiv.org/abs/1908.10084v2", "1908.10084v2"),
        (Paper, "arxiv", "arXiv:1908.10084", '"1908.10084"'),
        (Paper, "url", "arxiv.org/abs/1908.10084", "https://arxiv.org/abs/1908.10084"),
    ],
)
def test_fields_of_a_kit_say_what_to_write(model, field, value, meant):
    """In quotes where YAML would read a number."""
    _, hint = told(model, field, value)
    assert hint.startswith(f"write {meant}; ")


@pytest.mark.parametrize(
    ("kind", "value", "meant"),
    [
        ("Sha256", f"sha256:{'AB' * 32}", "ab" * 32),
        ("Python", "3.13.2", "3.13"),
        ("Python", "python3.12", "3.12"),
        ("Python", "3.9", None),
        ("HubRepository", "https://huggingface.co/owner/name/tree/main", "owner/name"),
        ("HubRepository", "name", None),
        ("HubRevision", " main", "main"),
        ("NormalName", "Scikit_Learn", "scikit-learn"),
        ("DebianPackage", "LibNuma1", "libnuma1"),
        ("DebianPackage", "libc6=2.41-1", "libc6"),
        ("Glibc", "2.41-12", "2.41"),
        ("Variable", "max-tokens", "max_tokens"),
        ("Url", "mirror.example.org/models", "https://mirror.example.org/models"),
    ],
)
def test_kinds_of_strings_are_corrected_to_their_own_format(kind, value, meant):
    """Or not at all, if nothing like the value has the format."""
    assert corrected(value, pattern_of(getattr(strings, kind))) == meant


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        ("handler.Handler", "handler.py:Handler"),
        ("handler:Model", "handler.py:Model"),
        ("./handler.py:Model", "handler.py:Model"),
        ("src.main:Model", "src/main.py:Model"),
    ],
)
def test_the_path_of_a_class_becomes_a_file_and_a_class(value, meant):
    """As other tools write it."""
    assert corrected(value, r"^[A-Za-z0-9_/]+\.py:[A-Za-z_][A-Za-z0-9_]*$") == meant


@pytest.mark.parametrize("value", ["", " ", "x" * 10_000, "\n", "@" * 299, "." * 299])
def test_what_has_no_correction_has_none(value):
    """However long it is."""
    assert corrected(value, r"^(mailto:[^@\s]+@[^@\s]+|https?://\S+)$") is None

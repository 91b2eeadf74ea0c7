"""The JSON Schema takes every kit that loads, refuses what it can see, and is the committed one."""

import json
from pathlib import Path

import jsonschema
import pytest

from mealkit.engines.whole_schema import full_schema
from mealkit.kit.document import read_document

_ROOT = Path(__file__).parents[2]
_DIALECTS = [jsonschema.Draft202012Validator, jsonschema.Draft7Validator]


def _values(text: str) -> object:
    document, problems = read_document(text, "kit.yaml")
    assert problems == []
    return document.data


@pytest.mark.parametrize("dialect", _DIALECTS)
def test_it_is_a_schema_in_both_dialects(dialect):
    """Editors read draft 7, everyone else 2020-12."""
    dialect.check_schema(full_schema())


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize(
    "path", sorted(_ROOT.glob("kits/*/kit.yaml")), ids=lambda path: path.parent.name
)
def test_the_example_kits_pass(path, dialect):
    """What loads, passes."""
    assert list(dialect(full_schema()).iter_errors(_values(path.read_text()))) == []


@pytest.mark.parametrize("dialect", _DIALECTS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: tiny", "nam: tiny"),
        ("gpu: none", "gpu: some"),
        ("memory: 2GiB", "memory: 4G"),
        ('python: "3.13"', "python: 3.13"),
        ("source: hub", "source: hubb"),
        ("suite: trixie", "suite: sid"),
        ("  query: {", "  The Query: {"),
        ("port: 8000", "port: 0"),
        ("engine: onnx", "engine: other"),
        ("pooling: mean", "pooling: max"),
        ("pooling: mean", "poolin: mean"),
        ("  normalize: true\n", ""),
        ("settings: {threads: 2}", "settings: {thread: 2}"),
        ("settings: {threads: 2}", 'settings: {threads: "2"}'),
    ],
)
def test_mistakes_are_seen_by_an_editor(before, after, dialect, good):
    """Those of the engine's own parts too."""
    schema = dialect(full_schema())
    assert list(schema.iter_errors(_values(good))) == []
    assert before in good
    assert list(schema.iter_errors(_values(good.replace(before, after, 1)))) != []


def test_hyperparameters_that_an_engine_needs_are_required(good):
    """Also where the whole part is left out."""
    text = good.replace(
        "hyperparameters:\n  pooling: mean\n  max_length: 256\n  normalize: true\n", ""
    )
    messages = [
        item.message
        for item in jsonschema.Draft202012Validator(full_schema()).iter_errors(_values(text))
    ]
    assert messages == ["'hyperparameters' is a required property"]


def test_every_field_says_what_it_is_for():
    """Editors show the descriptions."""
    schema = full_schema()
    shapes = [schema, *schema["$defs"].values()]
    bare = [
        name
        for shape in shapes
        for name, form in shape.get("properties", {}).items()
        if "description" not in form and "$ref" not in form
    ]
    assert bare == []


def test_the_schema_is_the_same_every_time():
    """So that it can be committed and compared."""
    assert json.dumps(full_schema()) == json.dumps(full_schema())

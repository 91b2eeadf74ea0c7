"""YAML that every reader reads as the same values."""

import pytest
import yaml

from mealkit.deploy.yaml_text import yaml_document


@pytest.mark.parametrize("text", ["y", "N", "1_e3", "1234567890123e45", "0o17", "2026-11-30", "~"])
def test_text_that_a_reader_takes_for_a_value_is_quoted(text):
    """YAML 1.1, 1.2, and the parser of kubectl and Helm, which has its own rules."""
    written = yaml_document({"a": text})
    assert written == f"a: '{text}'\n"
    assert yaml.safe_load(written) == {"a": text}


@pytest.mark.parametrize("text", ["yes-man", "1.0.0", "my-kit", "sha256:1f"])
def test_other_text_is_plain(text):
    """So people can read it."""
    assert yaml_document({"a": text}) == f"a: {text}\n"

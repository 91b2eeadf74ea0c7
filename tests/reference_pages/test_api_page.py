"""The reference page of the API says what the endpoints take and answer."""

import re

import pytest

from mealkit.runtime.api.endpoints import ENDPOINTS
from mealkit.runtime.api.knowledge import KNOWLEDGE
from mealkit.runtime.api.openapi import problems_by_status
from reference_pages.api_page import api_page

PAGE = api_page()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def names(text):
    return set(re.findall(r"^\| (?:\*\*)?`(\w+)`", text, re.MULTILINE))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=[item.path for item in ENDPOINTS])
def test_every_parameter_is_there(endpoint):
    """An endpoint's section has each parameter that it takes, and each that it refuses by name."""
    (section,) = (text for title, text in SECTIONS.items() if endpoint.path in title.split())
    assert names(section) == set(endpoint.request.model_fields) | set(endpoint.refusals)


def test_what_needs_a_feature_says_so():
    """Parameters name the feature that their engine must have, and what must stand beside them."""
    rows = dict(
        re.findall(
            r"^\| `(\w+)` \| .+? \| (.*?) \| ", SECTIONS["POST /v1/chat/completions"], re.MULTILINE
        )
    )
    assert rows["n"] == "`multiple`"
    assert rows["response_format"] == "`json_schema`"
    assert rows["top_logprobs"] == "`logprobs`, `logprobs: true`"
    assert rows["temperature"] == "`overrides`"
    assert rows["user"] == ""


def test_every_path_and_code_is_there():
    """No endpoint and no code that a caller can meet is left out."""
    codes = {code for codes in problems_by_status().values() for code in codes}
    assert codes <= set(re.findall(r"`([A-Z_]+)`", SECTIONS["Errors"]))
    for path in [item.path for item in (*ENDPOINTS, *KNOWLEDGE)]:
        assert f"`{path}`" in PAGE

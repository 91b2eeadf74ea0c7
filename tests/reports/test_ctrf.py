"""The Common Test Report Format, checked with the schema of its reference implementation."""

import json

import jsonschema
import pytest
from fakes.clients import NPM_CLIENTS
from fakes.reported import full_report, hostile_report, report

from mealkit.reports.ctrf import ctrf_of

SCHEMA = NPM_CLIENTS / "node_modules" / "ctrf" / "dist" / "ctrf-schema-0.0.json"


@pytest.mark.parametrize("made", [report, full_report, hostile_report])
def test_it_is_valid_by_the_format_s_own_schema(made):
    """Also its formats of dates and identifiers."""
    if not SCHEMA.is_file():
        pytest.skip("make .engines/npm/.ready installs ctrf")
    schema = json.loads(SCHEMA.read_text("utf-8"))
    checker = jsonschema.FormatChecker()
    jsonschema.Draft7Validator(schema, format_checker=checker).validate(json.loads(ctrf_of(made())))


def test_the_numbers_of_a_claim_travel_along():
    """Verdicts become the format's words; what it has no field for is in ``extra``."""
    results = json.loads(ctrf_of(full_report()))["results"]
    assert results["summary"] == {
        "tests": 6,
        "passed": 2,
        "failed": 3,
        "skipped": 1,
        "pending": 0,
        "other": 0,
        "suites": 2,
        "start": 1_790_000_000_250,
        "stop": 1_790_000_012_750,
        "duration": 12_500,
    }
    found = {test["name"]: test for test in results["tests"]}
    assert found["speed"]["status"] == "skipped"
    assert found["first"]["duration"] == 12
    assert found["truncated"]["extra"] == {
        "owner": "kit-author",
        "source": "table 3",
        "metric": "spearman",
        "claimed": 0.82,
        "allowed": pytest.approx([0.81, 0.83]),
        "measured": 0.7412,
        "interval": pytest.approx([0.7292, 0.7522]),
        "rows": 400,
        "refused": 3,
    }
    assert "row 17" in found["truncated"]["trace"]
    owner = results["environment"]["extra"]["owner"]
    assert owner["contact"] == "mailto:text@example.org"

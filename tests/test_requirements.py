"""What pyproject.toml asks for, and what the tests install."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))


def test_the_tests_have_what_the_extra_promises():
    """Everything that `pip install 'mealkit[evaluation]'` brings is in the environment of the tests."""
    extra = PROJECT["project"]["optional-dependencies"]["evaluation"]
    assert PROJECT["dependency-groups"]["evaluation"] == extra
    assert {"include-group": "evaluation"} in PROJECT["dependency-groups"]["test"]

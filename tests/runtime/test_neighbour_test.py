"""The image's command `test`: another container of the kit is asked its cases."""

import json
import subprocess
import sys

import pytest
from runtime.conftest import LIBRARY

from mealkit.recipe.cases import Case
from mealkit.recipe.kit import Feature
from mealkit.runtime.gateway.keys import new_key


def case(name, said):
    form = {"name": name, "request": {"prompt": "salt and oil"}, "expect": [{"equals": said}]}
    return Case.model_validate_json(json.dumps(form))


@pytest.fixture(scope="module")
def key():
    return new_key("tester")


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock, key):
    """A kit with keys; one of its two cases holds."""
    lock = make_api_lock(features=frozenset({Feature.COMPLETION}))
    cases = (case("upper", "SALT AND OIL "), case("lower", "salt and oil "))
    lock = lock.model_copy(update={"cases": cases})
    return start_shared(lock, environment={"MEALKIT_KEYS": key[1].line}).wait_ready()


def asked(kit, *arguments, **environment):
    address = str(kit.client.base_url)
    return subprocess.run(
        [sys.executable, "-s", "-P", "-m", "mealkit.runtime", "test", address, *arguments],
        env={"PYTHONPATH": str(LIBRARY), "MEALKIT_ETC": str(kit.root / "etc"), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_case_that_fails_is_named(kit, key, tmp_path):
    """With what was expected, the owner, and the exit code of failed tests; the key is read from a file."""
    file = tmp_path / "key"
    file.write_text(f"{key[0]}\n")
    done = asked(kit, "--api-key-file", str(file))
    assert done.returncode == 14, done.stderr
    assert "holds       upper: the answer is as stated" in done.stdout
    said = "1 of 1 statements about the answer is not true (owner kit-author)"
    assert f"fails       lower: {said}" in done.stdout
    assert "\nkit-author: " in done.stdout
    assert 'expected "salt and oil ", answered "SALT AND OIL "' in done.stdout
    assert "1 of 2 fail" in done.stdout


def test_the_report_is_json_for_machines(kit, key):
    """Only the report is on stdout; the key is read from the environment."""
    done = asked(kit, "--json", MEALKIT_API_KEY=key[0])
    report = json.loads(done.stdout)
    assert [item["verdict"] for item in report["cases"]] == ["holds", "fails"]
    assert report["kit"]["address"] == str(kit.client.base_url).rstrip("/")
    assert key[0] not in done.stdout + done.stderr
    assert done.returncode == 14


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [((), 14, "error[TEST_KEY]"), (("--limit", "0"), 2, "'0' is not a number from 1 on")],
)
def test_what_keeps_it_from_testing_is_said(kit, arguments, code, said):
    """As a problem with its owner, or as a usage error."""
    done = asked(kit, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr

"""mealkit test, as people call it, against kits that run already."""

import json

import pytest
from fakes.answering_kit import answering_kit, claim_of, lock_of

from mealkit.errors import MealkitError
from mealkit.pipeline.proof.kit_testing import checked_address
from mealkit.recipe.cases import Case
from mealkit.recipe.kit import Task


def case(name, equals):
    expect = [{"at": "/count", "equals": equals}]
    form = {"name": name, "request": {"input": {"text": "a"}}, "expect": expect}
    return Case.model_validate_json(json.dumps(form))


@pytest.fixture(scope="module")
def kit():
    """A kit with two cases, of which one fails, and a claim without data."""
    claims = [claim_of(name="stated", data=None)]
    lock = lock_of(Task.PREDICTION, claims, [case("right", 1.5), case("wrong", 2)])
    with answering_kit(lock) as running:
        yield running


def test_the_table_and_the_exit_code_say_what_fails(mealkit, kit):
    """Exit 14 if something fails; the table has every claim and case, and what fails its reason."""
    done = mealkit("test", kit.address)
    assert done.returncode == 14, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["claim", "expected", "measured", "95", "%", "interval", "verdict"]
    assert lines[1].split() == ["stated", "0.99", "to", "1.01", "not", "judged"]
    assert [line.split()[-1] for line in lines[3:5]] == ["holds", "fails"]
    assert "  at /count: expected 2, answered 1.5" in lines
    assert "wrong  fails  owner: kit-author" in lines
    assert lines[-1].startswith(
        f"kit-author: {kit.lock.about.owner.team}, {kit.lock.about.owner.contact}"
    )
    assert "1 of 3 hold, 1 fail, 1 not judged" in done.stderr


def test_json_is_the_report_and_what_is_not_judged_fails_only_if_strict(mealkit, kit):
    """A claim that is not judged is said, and fails with --strict."""
    done = mealkit("test", kit.address, "--claim", "stated", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kit"]["address"] == kit.address
    assert [item["verdict"] for item in report["claims"]] == ["not judged"]
    assert report["cases"] == []
    assert mealkit("test", kit.address, "--claim", "stated", "--strict").returncode == 14


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--claim", "other"], "TEST_NAME_UNKNOWN"),
        (["--api-key-file", "none.txt"], "TEST_KEY"),
        (["--junit", "."], "USAGE"),
    ],
)
def test_what_cannot_be_tested_is_a_problem(mealkit, kit, arguments, code):
    """An unknown claim, a file of a key that is missing, and a result that would be a folder."""
    kit.asked.clear()
    done = mealkit("test", kit.address, *arguments)
    assert done.returncode == (14 if code.startswith("TEST") else 2)
    assert kit.asked == []
    assert code in done.stderr


def test_a_key_comes_from_a_file_and_stays_on_this_machine(mealkit, kit, tmp_path):
    """Without its key a kit is not tested; plain HTTP to other machines never gets one."""
    (tmp_path / "key.txt").write_text("secret-key\n")
    kit.key = "secret-key"
    try:
        assert "TEST_KEY" in mealkit("test", kit.address, "--cases-only").stderr
        done = mealkit("test", kit.address, "--cases-only", "--api-key-file", "key.txt")
        assert done.returncode == 14
        assert "1 of 2 hold" in done.stderr
        assert all(headers["Authorization"] == "Bearer secret-key" for headers in kit.headers[-2:])
    finally:
        kit.key = None
    done = mealkit("test", "http://192.0.2.1:8000", "--api-key-file", "key.txt")
    assert "without TLS" in done.stderr
    assert "secret-key" not in done.stderr


@pytest.mark.parametrize(
    "address", ["http://", "http://user:word@127.0.0.1", "http://127.0.0.1:99999", "https://a?b"]
)
def test_an_address_must_be_one(address):
    """Credentials, queries and ports that cannot be are refused before anything is asked."""
    with pytest.raises(MealkitError) as raised:
        checked_address(address)
    assert raised.value.problems[0].code == "USAGE"
    assert "word" not in str(raised.value.problems[0])


def test_a_manifest_that_is_no_lock_is_a_problem(mealkit, kit):
    """What an address states about itself is hostile until it is typed."""
    good, kit.manifest = kit.manifest, {"code": {"a.py": 1}, "recipe": kit.recipe}
    try:
        done = mealkit("test", kit.address)
    finally:
        kit.manifest = good
    assert done.returncode == 14
    assert "TEST_NOT_A_KIT" in done.stderr

"""mealkit report, as people call it: a result that exists becomes pages and files for CI."""

import json

import pytest
from fakes.reported import full_report, report
from fakes.salted import claim_result, outcome, salt_report

from mealkit.acceptance.report import Verdict


@pytest.fixture
def result(tmp_path):
    """The file of a result, as mealkit test --json writes it."""
    path = tmp_path / "result.json"
    path.write_bytes(full_report().as_json())
    return path


def test_a_result_is_written_in_every_form_without_testing_again(mealkit, result, tmp_path):
    """A page, JUnit, CTRF and the reproduction, each in the file that is named."""
    done = mealkit(
        *("report", "result.json", "--html", "out/page.html", "--junit", "junit.xml"),
        *("--ctrf", "ctrf.json", "--reproduction", "reproduction.html"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "written  out/page.html",
        "written  junit.xml",
        "written  ctrf.json",
        "written  reproduction.html",
    ]
    assert "3 of 6 fail" in (tmp_path / "out" / "page.html").read_text("utf-8")
    assert '<failure message="' in (tmp_path / "junit.xml").read_text("utf-8")
    assert json.loads((tmp_path / "ctrf.json").read_bytes())["reportFormat"] == "CTRF"
    assert "Not reproduced." in (tmp_path / "reproduction.html").read_text("utf-8")
    (tmp_path / "authors.json").write_bytes(report(libraries={"scipy": "1.16.0"}).as_json())
    done = mealkit(
        *("report", "result.json", "--reproduction", "r.json", "--earlier", "authors.json"),
        "--json",
    )
    assert json.loads(done.stdout) == {"written": ["r.json"]}
    found = json.loads((tmp_path / "r.json").read_bytes())
    differing = [item["thing"] for item in found["differences"] if item["is_same"] is False]
    assert differing == ["hardware of speed", "scipy"]


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (["result.json"], "USAGE", 2),
        (["result.json", "--html", "a.html", "--earlier", "result.json"], "USAGE", 2),
        (["none.json", "--html", "a.html"], "TEST_REPORT_INVALID", 14),
        (["broken.json", "--html", "a.html"], "TEST_REPORT_INVALID", 14),
        (
            ["result.json", "--reproduction", "a.html", "--earlier", "broken.json"],
            "TEST_REPORT_INVALID",
            14,
        ),
    ],
)
def test_what_cannot_be_read_or_written_is_a_problem(
    mealkit, result, tmp_path, options, code, exit_code
):
    """And no file is written."""
    (tmp_path / "broken.json").write_text('{"report_version": "mealkit.test/v1"}')
    done = mealkit("report", *options)
    assert code in done.stderr
    assert done.returncode == exit_code, done.stderr
    assert not (tmp_path / "a.html").exists()


def test_the_result_of_changed_values_becomes_a_page(mealkit, tmp_path):
    """It has no other form: a changed value that breaks the kit is no test that fails."""
    before = (claim_result("similarity", Verdict.HOLDS, 0.82),)
    made = salt_report(before, outcome(before, (claim_result("similarity", Verdict.FAILS, 0.6),)))
    (tmp_path / "salt.json").write_bytes(made.as_json())
    done = mealkit("report", "salt.json", "--html", "salt.html")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 change is noticed" in (tmp_path / "salt.html").read_text("utf-8")
    done = mealkit("report", "salt.json", "--junit", "junit.xml")
    assert "USAGE" in done.stderr


def test_what_fit_finds_out_becomes_a_page_or_json(mealkit, kit, tmp_path):
    """The file is written also if rows would be refused."""
    with (kit / "kit.yaml").open("a") as file:
        file.write("data:\n  inputs:\n    input:\n      length: {maximum_characters: 5}\n")
    (tmp_path / "data.jsonl").write_text('{"input": "short"}\n{"input": "too long"}\n')
    for name in ("fit.html", "fit.json"):
        done = mealkit("fit", "data.jsonl", "soup", "--report", name)
        assert done.returncode == 15, done.stderr
    assert "1 of 2 rows would be refused." in (tmp_path / "fit.html").read_text("utf-8")
    assert json.loads((tmp_path / "fit.json").read_bytes())["refused"] == 1


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--salt", "--junit", "junit.xml"], "USAGE"),
        (["--salt", "--write-readme", "none.md"], "none.md"),
        (["--salt", "--api-key-file", "key.txt"], "a kit that runs already"),
        (["--change", "hyperparameters.pooling"], "add --salt"),
        (["--earlier", "result.json"], "USAGE"),
        (["--reproduction", "r.html", "--earlier", "none.json"], "TEST_REPORT_INVALID"),
    ],
)
def test_a_test_does_not_start_with_files_that_cannot_be_used(mealkit, result, options, code):
    """An earlier result is read before the kit is started, which may take long."""
    done = mealkit("test", "no-such-kit", *options)
    assert code in done.stderr

"""The result of salting a kit, as a table in the kit's README."""

from pathlib import Path

import pytest
from fakes.salted import CHANGE, claim_result, outcome, salt_report
from markdown_it import MarkdownIt

from mealkit.acceptance.report import CaseResult, Verdict
from mealkit.acceptance.salt_report import ChangedValue, Refusal, SaltReport
from mealkit.errors import KitError, Owner
from mealkit.pipeline.proof.salt_readme import BEGIN, END, check_readme, with_table, write_readme

HOLDS, FAILS = Verdict.HOLDS, Verdict.FAILS
HOSTILE = "a|b `c` <script>\n[//]: # (x)"


def salted() -> SaltReport:
    """A change that is noticed, one that nothing notices, and one with which nothing starts."""
    case = CaseResult(name="first", verdict=HOLDS, reason="x")
    before = [claim_result("sts", HOLDS, 0.82), claim_result("weak", HOLDS, 0.82), case]
    after = [
        claim_result("sts", FAILS, 0.7),
        claim_result("weak", HOLDS, 0.82),
        CaseResult(name="first", verdict=FAILS, reason="x"),
    ]
    prompt = ChangedValue(field="prompts.query", pinned=HOSTILE, changed="{{ text }}")
    graph = ChangedValue(field="runtime.settings.graph", pinned="a.onnx", changed="b.onnx")
    refusal = Refusal(code="WEIGHTS_MISSING", message="b.onnx is missing", owner=Owner.KIT_AUTHOR)
    return salt_report(
        before,
        outcome(before, after, CHANGE),
        outcome(before, before, prompt),
        outcome(before, [], graph).model_copy(update={"refusal": refusal}),
    )


def rendered(text: str) -> str:
    return MarkdownIt("commonmark", {"html": False}).enable("table").render(text)


def test_a_readme_gets_a_section():
    """Each change is a row with its effect; the markers are not shown."""
    text = with_table("# Kit\n\nWords.\n", salted(), "README.md")
    assert text.startswith("# Kit\n\nWords.\n\n## What the answers depend on\n\n")
    page = rendered(text)
    assert "mealkit test --salt" not in page
    assert page.count("<tr>") == 4
    for part in (
        "<td>sts -0.12, fails; 1 of 1 cases fail</td>\n<td>sts, first</td>",
        "<td>none</td>\n<td><strong>nothing</strong></td>",
        "it does not start: WEIGHTS_MISSING",
        "No claim and no case notices a change of: prompts.query.",
        "none of these changes makes them fail: weak.",
    ):
        assert part in page


def test_what_a_kit_contains_cannot_leave_its_cell():
    """A prompt with Markdown, HTML or a marker stays text in one cell."""
    page = rendered(with_table("# Kit\n", salted(), "README.md"))
    assert "<script>" not in page
    assert page.count("<td>") == 3 * 5


def test_the_section_is_replaced_and_the_rest_stays():
    """Another run changes only what is between the markers."""
    first = with_table("# Kit\n", salted(), "x").replace(END, f"{END}\n\nAfter.\n")
    other = salted().model_copy(update={"outcomes": ()})
    second = with_table(first, other, "x")
    assert second.startswith("# Kit\n")
    assert second.endswith("\n\nAfter.\n\n")
    assert "cls" not in second
    assert with_table(second, salted(), "x") == first


@pytest.mark.parametrize(
    "text", [BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}{END}{BEGIN}", f"{BEGIN}{END}{END}"]
)
def test_markers_that_do_not_belong_together_are_a_usage_error(text: str, tmp_path: Path):
    """Nothing is written where it is not clear what to replace."""
    path = tmp_path / "README.md"
    path.write_text(text)
    with pytest.raises(KitError, match="both markers once"):
        check_readme(path)
    with pytest.raises(KitError, match="both markers once"):
        write_readme(salted(), path)
    assert path.read_text() == text


def test_a_missing_readme_is_a_usage_error(tmp_path: Path):
    """A misspelled name does not create a file."""
    with pytest.raises(KitError) as error:
        check_readme(tmp_path / "README.md")
    assert error.value.problems[0].code == "USAGE"

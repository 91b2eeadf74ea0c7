"""Whether a paper is reproduced, and what differs, as values and as a page."""

import json

import pytest
from fakes.browsers import CONTRASTS
from fakes.reported import claim, claim_result, failing, full_report, hostile_report, report

from mealkit.acceptance.report import CaseResult, MachineFacts, Verdict
from mealkit.assembly.templates import template_root
from mealkit.reports.reproduction import Answer, reproduction_of
from mealkit.reports.reproduction_page import reproduction_page

pytestmark = pytest.mark.xdist_group("site")

TEMPLATES = template_root() / "report"
NOT_JUDGED = {"verdict": Verdict.NOT_JUDGED, "reason": "there is no GPU"}
STATED = claim_result("stated", None, claim=claim("stated", data=None, ask=None), **NOT_JUDGED)


@pytest.mark.parametrize(
    ("claims", "answer", "reason"),
    [
        ((claim_result(),), Answer.REPRODUCED, "1 reproduced"),
        ((claim_result(), failing()), Answer.NOT_REPRODUCED, "1 reproduced, 1 not reproduced"),
        (
            (claim_result(), claim_result("other", None, **NOT_JUDGED)),
            Answer.CANNOT_BE_SAID,
            "1 reproduced, 1 cannot be said",
        ),
        (
            (claim_result(), STATED),
            Answer.REPRODUCED,
            "1 reproduced; 1 only stated, without data to test it",
        ),
        (
            (STATED,),
            Answer.CANNOT_BE_SAID,
            "nothing could be tested; 1 only stated, without data to test it",
        ),
    ],
)
def test_the_worst_claim_that_can_be_tested_decides(claims, answer, reason):
    """A claim without data cannot be tested anywhere, so it does not change the answer."""
    found = reproduction_of(report(claims=claims, cases=()))
    assert (found.answer, found.parts[0].reason) == (answer, reason)


def test_quality_performance_and_golden_examples_have_an_answer_each():
    """So a reader sees that only the speed is open, because this machine has no such GPU."""
    parts = {part.name: part.answer for part in reproduction_of(full_report()).parts}
    assert parts == {
        "quality": Answer.NOT_REPRODUCED,
        "performance": Answer.NOT_REPRODUCED,
        "golden examples": Answer.NOT_REPRODUCED,
    }
    good = CaseResult(name="first", verdict=Verdict.HOLDS, reason="it is equal")
    speed = claim("speed", metric="tokens_per_second", value=900)
    found = reproduction_of(
        report(
            claims=(claim_result(), claim_result("speed", 9.0, claim=speed, **NOT_JUDGED)),
            cases=(good,),
        )
    )
    assert [part.answer for part in found.parts] == [
        Answer.REPRODUCED,
        Answer.CANNOT_BE_SAID,
        Answer.REPRODUCED,
    ]
    assert found.answer is Answer.CANNOT_BE_SAID


def test_what_the_kit_s_authors_state_is_no_value_of_a_paper(open_page):
    """Such claims have an answer of their own, and their value is marked on the page."""
    ours = claim_result("own", claim=claim("own", source="ours"))
    made = report(claims=(claim_result(), ours), cases=())
    found = reproduction_of(made)
    assert [part.name for part in found.parts] == ["quality", "the kit's own claims"]
    page = open_page(reproduction_page(found, made, TEMPLATES))
    assert "0.82 (ours)" in page.locator("tbody tr", has_text="own").first.inner_text()


def test_nothing_tested_is_no_reproduction():
    """A report without claims and cases."""
    assert reproduction_of(report(claims=(), cases=())).answer is Answer.CANNOT_BE_SAID


def test_a_reason_has_the_paper_s_own_value_and_what_the_interval_says():
    """The claim is about a part of the data, and the measured value is just outside."""
    stated = claim(paper_value=0.85)
    result = failing(claim=stated, measured=0.808, interval=(0.79, 0.826))
    (found,) = reproduction_of(report(claims=(result,))).comparisons
    assert found.reason == (
        "0.808 is 0.002 below the allowed 0.81; its 95 % interval reaches the allowed values, so "
        "more rows could decide; the paper's own value is 0.85 (-4.9 %)"
    )
    assert found.difference_percent == pytest.approx(-4.94, abs=0.01)
    inside = claim_result(claim=stated, measured=0.815)
    (found,) = reproduction_of(report(claims=(inside,))).comparisons
    assert found.reason.startswith("0.815 is within 0.81 to 0.83; the paper's own value is 0.85")


@pytest.mark.parametrize(
    ("stated", "machine", "is_same"),
    [
        ("A100", {"gpus": ("NVIDIA A100-SXM4-80GB",)}, True),
        ("NVIDIA H200", {"gpus": ("NVIDIA A100-SXM4-80GB",)}, False),
        ("AMD EPYC 9454", {"processor": "AMD EPYC 9454"}, True),
        ("A10", {"gpus": ("NVIDIA A100-SXM4-80GB",)}, False),
        ("A100", {}, None),
    ],
)
def test_the_paper_s_hardware_is_compared_with_this_machine(stated, machine, is_same):
    """By whole words of the names; it cannot be said if the machine is not known."""
    result = claim_result(claim=claim(paper_hardware=stated))
    found = reproduction_of(report(claims=(result,), machine=MachineFacts(**machine)))
    (difference,) = found.differences
    assert (difference.there, difference.is_same) == (stated, is_same)


def test_an_earlier_result_adds_recipe_hardware_data_and_versions():
    """What the author's machine and this one have in common, what not, and what is not known."""
    here = report(libraries={"scipy": "1.17.0", "jiwer": "4.0.0"})
    there = report(
        kit=here.kit.model_copy(update={"recipe": "sha256:" + "00" * 32}),
        machine=MachineFacts(processor="AMD EPYC 9454", gpus=("NVIDIA H200",)),
        libraries={"scipy": "1.16.0"},
        datasets={"sts/test.jsonl": "sha256:" + "00" * 32},
        claims=(claim_result(measured=0.8222),),
    )
    found = reproduction_of(here, there)
    assert [item.thing for item in found.differing] == ["recipe", "GPUs", "sts/test.jsonl", "scipy"]
    assert {"jiwer", "driver", "memory"} <= {item.thing for item in found.unknown}
    assert found.comparisons[0].earlier == 0.8222
    assert reproduction_of(here, here).differing == ()


def test_the_json_has_the_answer_and_the_reasons():
    """For machines, with the same words as the page."""
    form = json.loads(reproduction_of(full_report(), report()).as_json())
    assert form["report_version"] == "mealkit.reproduction/v1"
    assert form["answer"] == "not reproduced"
    assert form["comparisons"][2]["paper_hardware"] == "NVIDIA H200"
    assert form["comparisons"][2]["answer"] == "cannot be said"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_answers_on_its_first_screen(open_page, scheme):
    """With the paper's value and hardware beside this machine's; readable in light and dark."""
    earlier = report(libraries={"scipy": "1.16.0"}, claims=(claim_result(measured=0.8222),))
    found = reproduction_of(full_report(), earlier)
    data = reproduction_page(found, full_report(), TEMPLATES)
    assert data == reproduction_page(found, full_report(), TEMPLATES)
    page = open_page(data, color_scheme=scheme, viewport={"width": 390, "height": 844})
    assert page.inner_text(".headline") == "Not reproduced."
    verdict = page.locator(".verdict")
    assert "Quality: not reproduced (1 reproduced, 1 not reproduced)" in verdict.inner_text()
    assert "hardware of speed, scipy" in verdict.inner_text()
    assert verdict.bounding_box()["y"] + verdict.bounding_box()["height"] < 844
    row = page.locator("tbody tr", has_text="speed").first.inner_text()
    for part in ("900.0 texts/s", "412.0 texts/s", "-54 %", "NVIDIA H200", "cannot be said"):
        assert part in row
    similar = page.locator("tbody tr", has_text="similarity").first.inner_text()
    assert "0.8222" in similar
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CONTRASTS) == []


def test_texts_of_others_are_only_text(open_page):
    """Sources, hardware, owners and names of data run and load nothing."""
    page = open_page(
        reproduction_page(
            reproduction_of(hostile_report(), hostile_report()), hostile_report(), TEMPLATES
        )
    )
    assert "<script>alert(2)</script>{{ 7 * 7 }}" in page.inner_text("main")
    assert page.locator("main img, main script, main b").count() == 0

"""The page of ``mealkit test --salt``, in a real browser: Chromium."""

import pytest
from fakes.browsers import CONTRASTS
from fakes.reported import EVIL, TURNED
from fakes.salted import claim_result, outcome, salt_report

from mealkit.acceptance.report import CaseResult, Verdict
from mealkit.acceptance.salt_report import ChangedValue, LeftValue, Outcome, Refusal
from mealkit.assembly.templates import template_root
from mealkit.errors import Owner
from mealkit.reports.salt_page import salt_page

pytestmark = pytest.mark.xdist_group("site")

TEMPLATES = template_root() / "report"
BEFORE = (
    claim_result("similarity", Verdict.HOLDS, 0.82),
    claim_result("loose", Verdict.HOLDS, 0.82, {"absolute": 0.5}),
    CaseResult(name="first", verdict=Verdict.HOLDS, reason="as stated"),
)
POOLING = outcome(
    BEFORE,
    (
        claim_result("similarity", Verdict.FAILS, 0.61),
        claim_result("loose", Verdict.HOLDS, 0.61, {"absolute": 0.5}),
        CaseResult(name="first", verdict=Verdict.FAILS, reason="it differs"),
    ),
)
DTYPE = outcome(
    BEFORE, BEFORE, ChangedValue(field="hyperparameters.dtype", pinned="float32", changed="float16")
)
REFUSED = Outcome(
    change=ChangedValue(field="hyperparameters.max_length", pinned=256, changed=9999),
    refusal=Refusal(code="KIT_VALUE", message="it is too long", owner=Owner.KIT_AUTHOR),
)


def full_salt():
    left = LeftValue(field="hyperparameters.seed", reason="the engine draws no random numbers")
    return salt_report(BEFORE, POOLING, DTYPE, REFUSED).model_copy(update={"left": (left,)})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_what_matters_and_what_is_weak(open_page, scheme):
    """First the weak claims and the values that no claim notices, then each change's effect."""
    data = salt_page(full_salt(), TEMPLATES)
    page = open_page(data, color_scheme=scheme, viewport={"width": 1100, "height": 700})
    assert page.inner_text(".headline") == "1 of 2 changes are noticed; 1 claim or case is weak."
    verdict = page.inner_text(".verdict")
    assert "Weak, because no change makes it fail: loose." in verdict
    assert "No claim and no case notices a change of: hyperparameters.dtype" in verdict
    assert "1 changed kit could not be tested." in verdict
    heads = page.locator("table.matrix thead th").all_inner_texts()
    assert heads[3].startswith("loose weak")
    pooling, dtype, refused = page.locator("table.matrix tbody tr").all()
    assert pooling.locator("td.notices").all_inner_texts() == [
        "-0.21, fails\n(noticed)",
        "fails\n(noticed)",
    ]
    assert dtype.locator("td.n").all_inner_texts() == ["no change", "no change", "holds"]
    assert "not tested: KIT_VALUE it is too long" in refused.inner_text()
    assert "the engine draws no random numbers" in page.inner_text("main")
    assert page.evaluate(CONTRASTS) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_kit_whose_claims_notice_everything_is_good(open_page):
    """And a run in which no kit started says so."""
    strict = (BEFORE[0], BEFORE[2])
    noticed = outcome(strict, (claim_result("similarity", Verdict.FAILS, 0.61), POOLING_CASE))
    rounding = (claim_result("similarity", Verdict.HOLDS, 0.82 + 1e-15), POOLING_CASE)
    same = outcome(strict, rounding)
    page = open_page(salt_page(salt_report(strict, noticed, same), TEMPLATES))
    assert page.locator("table.matrix td.n").all_inner_texts()[2] == "no change"
    assert "Who has to act" not in page.inner_text(".verdict")
    assert page.locator(".verdict.good").count() == 1
    assert "Every change that was made is noticed" in page.inner_text(".verdict")
    page = open_page(salt_page(salt_report(strict, REFUSED), TEMPLATES))
    assert page.inner_text(".headline") == "No changed kit could be tested."


POOLING_CASE = CaseResult(name="first", verdict=Verdict.FAILS, reason="it differs")


def test_values_of_others_are_only_text(open_page):
    """Prompts, reasons and messages run, load and reorder nothing; long tables are cut."""
    change = ChangedValue(
        field=EVIL, pinned=EVIL + TURNED, changed={"a": EVIL}, together={EVIL: EVIL}
    )
    refusal = Refusal(code=EVIL, message=EVIL + TURNED, owner=Owner.PLATFORM)
    many = tuple(claim_result(f"claim-{number}", Verdict.HOLDS, 0.8) for number in range(20))
    made = salt_report(
        many,
        outcome(many, many, change),
        Outcome(change=change, refusal=refusal),
        *[Outcome(change=change, refusal=refusal)] * 500,
    ).model_copy(update={"left": (LeftValue(field=EVIL, reason=EVIL + TURNED),)})
    page = open_page(salt_page(made, TEMPLATES))
    assert page.locator("main img, main script, main pre, main b").count() == 0
    assert "\u202e" not in page.content()
    assert "102 more changes and 8 more claims and cases" in page.inner_text("main")

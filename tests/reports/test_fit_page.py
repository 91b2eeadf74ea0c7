"""The page of ``mealkit fit``, in a real browser: Chromium."""

import re
from dataclasses import replace

import pytest
from fakes.browsers import CONTRASTS
from fakes.reported import EVIL, TURNED

from mealkit.assembly.templates import template_root
from mealkit.contract.fit_report import (
    Example,
    FileFacts,
    FileFault,
    FitReport,
    LengthLimit,
    RuleResult,
)
from mealkit.contract.population_drift import drift_between
from mealkit.recipe.data_contract import Action
from mealkit.recipe.data_profile import DataProfile, FieldProfile, Histogram
from mealkit.reports.fit_page import fit_page

pytestmark = pytest.mark.xdist_group("site")

TEMPLATES = template_root() / "report"
EDGES = tuple(float(2**power) for power in range(14))


def profile(middle: int, languages: dict[str, int]) -> DataProfile:
    counts = [0] * 15
    counts[middle - 1 : middle + 2] = [200, 500, 300]
    field = FieldProfile(
        values=1000,
        missing=3,
        characters=Histogram(edges=EDGES, counts=tuple(counts)),
        unknown_tokens=0.02,
        languages=languages,
    )
    return DataProfile(rows=1003, inputs={"query": field})


def fit_report(**changes) -> FitReport:
    here, reference = profile(9, {"en": 700, "de": 300}), profile(6, {"en": 1000})
    examples = tuple(
        Example("data.jsonl", line, "query", "a long text", f"{line * 100} characters")
        for line in (7, 19)
    )
    form = {
        "kit": "sbert-minilm:1.0.0",
        "files": (FileFacts("data.jsonl", "jsonl", 123456, 1003, 1),),
        "rows": 1003,
        "refused": 240,
        "warned": 300,
        "unreadable": 1,
        "findings": (FileFault("data.jsonl", 12, "the line ends in the middle of a value"),),
        "rules": (
            RuleResult("query", "languages", Action.WARN, "en", "DATA_LANGUAGES", 300, ()),
            RuleResult(
                "query",
                "length",
                Action.REFUSE,
                "at most 300 characters",
                "DATA_LENGTH",
                240,
                examples,
            ),
        ),
        "unchecked": ("query.length.maximum_tokens: the kit has no tokenizer",),
        "limits": (LengthLimit("query", "characters", None, 300),),
        "repeated": 6,
        "profile": here,
        "reference": reference,
        "drift": drift_between(reference, here),
        "seconds": 0.25,
        **changes,
    }
    return FitReport(**form)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_says_how_many_rows_would_be_refused_and_why(open_page, scheme):
    """What refuses comes before what warns; examples have file and line; drift has a word."""
    data = fit_page(fit_report(), TEMPLATES)
    assert data == fit_page(fit_report(), TEMPLATES)
    page = open_page(data, color_scheme=scheme, viewport={"width": 1100, "height": 900})
    assert page.inner_text(".headline") == "240 of 1003 rows would be refused."
    verdict = page.locator(".verdict li").all_inner_texts()
    assert verdict[1:4] == [
        "query: length in 240 rows (refuse); required: at most 300 characters",
        "query: languages in 300 rows (warn); required: en",
        "Unlike the data that the kit was made for: query characters, query languages",
    ]
    assert "Who has to act: the caller" in page.inner_text(".verdict")
    example = page.locator("table.rows tbody tr").first.locator("th, td").all_inner_texts()
    assert example == ["data.jsonl:7", "700 characters", "a long text", "query"]
    summaries = page.locator("details summary").all_inner_texts()
    assert summaries[0] == "The first 2 of 240 rows"
    assert "data.jsonl:12" in page.inner_text("main")
    drift = page.locator("section[aria-labelledby=drift] tbody tr").first.inner_text()
    assert drift.startswith("query\tcharacters\tmuch")
    assert page.evaluate(CONTRASTS) == []
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_lengths_are_drawn_with_the_limit_and_the_kit_s_own_data(open_page):
    """A reader who does not see the plot gets its numbers; languages are a table."""
    page = open_page(fit_page(fit_report(), TEMPLATES))
    plot = page.get_by_role("img", name=re.compile("How long the texts are, in characters"))
    assert plot.locator("desc").text_content() == (
        "1000 values; most are 256 to 512. The longest that is allowed: 300."
    )
    words = plot.locator("text").all_text_contents()
    assert {"these files", "the kit's data", "longest", "percent"} <= set(words)
    rows = page.locator("section.card table.slices tbody tr").all_inner_texts()
    assert [row.split() for row in rows] == [
        ["en", "700", "70.0", "%", "100.0", "%"],
        ["de", "300", "30.0", "%", "0.0", "%"],
    ]


def test_data_that_fits_is_said_to_fit(open_page):
    """Without rules, findings, drift and a profile of the kit's own data."""
    made = fit_report(
        refused=0, warned=0, unreadable=0, findings=(), rules=(), reference=None, drift=()
    )
    page = open_page(fit_page(made, TEMPLATES))
    assert page.inner_text(".headline") == "Every row fits."
    assert page.locator(".verdict.good").count() == 1
    assert page.locator("#rules, #drift, #findings").count() == 0
    for changes, headline in (
        (
            {"warned": 3},
            "No row would be refused; 3 of 1003 rows would be answered with a warning.",
        ),
        ({"drift": fit_report().drift}, "Every row fits, but the data differs from the kit's."),
    ):
        page = open_page(fit_page(replace(made, **changes), TEMPLATES, most_plots=0))
        assert page.inner_text(".verdict.open .headline") == headline
    nothing = replace(made, profile=DataProfile(rows=0, inputs={}), files=(), rows=0)
    assert b"</html>" in fit_page(nothing, TEMPLATES)
    assert b'class="plot"' not in fit_page(made, TEMPLATES, most_plots=0)


def test_the_data_is_only_text(open_page):
    """Values, names of files and of fields run, load and reorder nothing."""
    text = EVIL + TURNED
    rule = RuleResult(
        EVIL, "length", Action.REFUSE, text, "DATA_LENGTH", 1, (Example(text, 1, text, text, text),)
    )
    made = fit_report(
        kit=EVIL,
        rules=(rule,),
        findings=(FileFault(text, 1, text, text),),
        files=(FileFacts(text, "text", 1, 1, 0),),
        unchecked=(text,),
        profile=DataProfile(rows=1, inputs={EVIL: profile(3, {"en": 1}).inputs["query"]}),
    )
    page = open_page(fit_page(made, TEMPLATES))
    assert page.locator("main img, main script, main pre, main b").count() == 0
    assert "\u202e" not in page.content()

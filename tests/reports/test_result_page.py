"""The page of a test's report, in a real browser: Chromium."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from fakes.browsers import CONTRASTS
from fakes.reported import EVIL, claim, claim_result, failing, full_report, hostile_report, report

from mealkit.acceptance.report import ClaimResult, Latencies, Sample, Verdict
from mealkit.assembly.templates import template_root
from mealkit.reports.plots import Plot, bins
from mealkit.reports.result_page import result_page

pytestmark = pytest.mark.xdist_group("site")

TEMPLATES = template_root() / "report"


@pytest.fixture(scope="module")
def full():
    return result_page(full_report(), TEMPLATES)


@pytest.fixture(scope="module")
def hostile():
    return result_page(hostile_report(), TEMPLATES)


def test_the_first_screen_says_what_failed_by_how_much_and_whose_it_is(open_page, full):
    """On a desktop and on a phone, without scrolling, with the contact of the kit's owner."""
    for width, height in ((1100, 700), (390, 844)):
        page = open_page(full, viewport={"width": width, "height": height})
        seen = page.evaluate(
            """() => [...document.querySelectorAll('h1, .verdict, .owners li')]
                .filter((item) => item.getBoundingClientRect().bottom <= innerHeight)
                .map((item) => item.innerText).join('\\n')"""
        )
        for part in (
            "3 of 6 fail.",
            "truncated: spearman 0.7412, 0.0688 below the allowed 0.81 (kit-author)",
            "latency: latency_p95_seconds 38.3 ms, 3.3 ms above the allowed 35.0 ms (hardware)",
            "label: 1 of 2 expectations is not met (kit-author)",
            "text team: text@example.org. on weekdays",
        ):
            assert part in seen
    page.click("nav a, .verdict a:text-is('truncated')")
    rows = page.locator("#" + page.url.partition("#")[2]).locator("table.rows tbody tr")
    assert rows.first.inner_text().split("\t")[0] == "17"
    assert "A man is playing a flute." in rows.first.inner_text()


def test_a_report_without_failures_says_so(open_page):
    """A claim that was not measured has no line, and nothing has to be done."""
    stated = claim_result("stated", None, verdict=Verdict.NOT_JUDGED, reason="it has no data")
    page = open_page(result_page(report(claims=(stated,)), TEMPLATES))
    assert page.inner_text(".headline") == "Nothing fails."
    assert "1 holds, 0 fail, 1 was not judged" in page.inner_text(".verdict")
    assert page.locator("svg.number-line, .owners").count() == 0
    nothing = open_page(result_page(report(claims=(stated,), cases=()), TEMPLATES))
    assert nothing.inner_text(".headline") == "Nothing could be judged."


def test_the_plots_show_the_scores_slices_and_times(open_page, full):
    """Each plot has a name and the numbers as text; a slice outside of the bounds looks different."""
    page = open_page(full)
    scores = page.get_by_role("img", name=re.compile("How the rows' scores are distributed"))
    assert "400 rows. The lowest score is" in scores.locator("desc").text_content()
    times = page.get_by_role("img", name=re.compile("How long answers took"))
    assert "p95: 38.3 ms" in times.locator("desc").text_content()
    for picture in (scores, times):
        assert picture.bounding_box()["width"] > 300
    bars = page.locator("table.slices .bar rect:not(.track)")
    assert [bar.get_attribute("class") for bar in bars.all()] == ["inside", "outside", "outside"]
    widths = [bar.bounding_box()["width"] for bar in bars.all()]
    assert widths == sorted(widths, reverse=True)
    line = page.locator("article", has_text="0.7412 is below").locator("svg.number-line")
    band = line.locator(".band").bounding_box()
    assert line.locator(".measured").bounding_box()["x"] < band["x"]
    assert line.get_by_role("img").or_(line).first.get_attribute("role") == "img"


def test_a_column_of_scores_is_there_only_if_rows_have_scores():
    """A correlation has none for a row."""
    sample = Sample(row=1, asked="a", expected="2", answered="0.5")
    for score, count in ((None, 0), (0.25, 1)):
        result = claim_result(samples=(sample.model_copy(update={"score": score}),))
        text = result_page(report(claims=(result,), cases=()), TEMPLATES).decode()
        assert text.count('<th scope="col" class="n">score</th>') == count


def test_bins_that_grow_have_a_logarithmic_axis():
    """On a linear one, the widest bin would look the fullest."""
    drawn = {
        grows: str(bins(Plot("a", "b", "c", "seconds", "answers"), counted))
        for grows, counted in (
            (True, [(0.1, 5), (0.2, 5), (0.4, 5), (0.8, 5)]),
            (False, [(0.2, 5), (0.4, 5), (0.6, 5), (0.8, 5)]),
        )
    }
    found = {
        grows: re.search(r'id="a-patch_3".*? d="(.*?)"', text, re.DOTALL)
        for grows, text in drawn.items()
    }
    for path in found.values():
        assert path
        edges = sorted({float(item) for item in re.findall(r"[ML] ([0-9.]+) ", path[1])})
        widths = {round(high - low, 1) for low, high in pairwise(edges)}
        assert len(widths) == 1


def test_the_same_report_gives_the_same_bytes(full):
    """No times of drawing and no random ids."""
    assert result_page(full_report(), TEMPLATES) == full


@pytest.mark.parametrize("name", ["full", "hostile"])
def test_a_page_is_well_formed_and_loads_nothing(request, name):
    """Ids are unique, links inside of the page lead somewhere, and there is no script."""
    text = request.getfixturevalue(name).decode()
    assert "default-src 'none'" in text
    root = ET.fromstring(text.replace("<!DOCTYPE html>", ""))  # noqa: S314
    ids = [item.get("id") for item in root.iter() if item.get("id")]
    assert len(ids) == len(set(ids))
    for item in root.iter():
        assert item.tag.rpartition("}")[2] not in {"script", "img", "iframe", "object", "embed"}
        assert not [attribute for attribute in item.attrib if attribute.startswith("on")]
        for attribute in ("aria-labelledby", "aria-describedby"):
            assert set((item.get(attribute) or "").split()) <= set(ids)
        link = item.get("href") or "#"
        assert link.startswith(("https:", "http:", "mailto:", "data:,", "#"))
        assert not link.startswith("#") or link == "#" or link[1:] in ids


def test_texts_of_others_are_only_text(open_page, hostile):
    """Rows, answers, names of slices, owners and notes run, load and reorder nothing."""
    page = open_page(hostile)
    quote = page.locator(".quote").first.inner_text()
    assert EVIL in quote
    assert "good\u27e8U+202E\u27e9dab\u27e8U+0000\u27e9" in quote
    assert page.locator("main img, main script, main pre, main b").count() == 0
    assert "\u202e" not in page.content()
    longest = max(page.locator(".quote").all_inner_texts(), key=len)
    assert len(longest) < 1500
    assert page.locator("table.slices tbody tr").count() == 40
    assert "160 more slices" in page.inner_text("main")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def extreme(name: str, value: float, metric: str) -> ClaimResult:
    return claim_result(
        name,
        value,
        claim=claim(name, metric=metric),
        interval=(-1.7e308, 1.7e308),
        scores=(value, value, 1.0),
        slices=failing().slices,
        latencies=Latencies(
            requests=1,
            p50_seconds=value,
            p95_seconds=value,
            p99_seconds=value,
            histogram=((value, 1), (value, 0)),
        ),
    )


def test_numbers_at_the_limits_give_a_page():
    """The largest, smallest and equal numbers that a report may have."""
    metrics = ("spearman", "latency_p95_seconds", "peak_memory_bytes", "tokens_per_second")
    claims = [
        extreme(f"claim-{place}-{metric.partition('_')[0]}", value, metric)
        for place, value in enumerate((1.7e308, -1.7e308, 5e-324, 0.0))
        for metric in metrics
    ]
    exact = claim("exact", tolerance={"relative": 0.0})
    claims.append(claim_result("exact", claim=exact, interval=None, measured=exact.value))
    page = result_page(report(claims=tuple(claims)), TEMPLATES, most_plots=5)
    assert page.count(b"<article") == len(claims)


def test_only_the_first_plots_are_drawn():
    """A report of many claims stays a page that a browser can show."""
    many = tuple(failing(f"claim-{number}") for number in range(3))
    text = result_page(report(claims=many), TEMPLATES, most_plots=3).decode()
    assert text.count('class="plot"') == 3
    assert "3 more plots are not drawn" in text


WITHOUT_MATPLOTLIB = """
import sys
sys.modules["matplotlib"] = None
from pathlib import Path
from fakes.reported import full_report, report
from mealkit.assembly.templates import template_root
from mealkit.reports.plots import Plot, bins
from mealkit.errors import AcceptanceError
from mealkit.reports.result_page import result_page
templates = template_root() / "report"
result_page(report(), templates)
try:
    result_page(full_report(), templates)
except AcceptanceError as error:
    print(error.problems[0].code, error.problems[0].hint)
"""


def test_a_page_without_plots_needs_no_matplotlib():
    """If there is something to draw and it is not installed, the problem says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MATPLOTLIB],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "TEST_PACKAGE_MISSING pip install 'mealkit[evaluation]'\n"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(open_page, full, scheme):
    """Every text has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3), also in plots."""
    page = open_page(full, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true })")
    assert page.evaluate(CONTRASTS) == []
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(246, 245, 240)" if scheme == "light" else "rgb(17, 21, 18)")


def test_a_page_fits_a_phone_and_a_screen_reader(open_page, full):
    """Only tables scroll sideways; there is one h1, levels of headings are not skipped, and every
    table has a caption and heads."""
    page = open_page(full, viewport={"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4')].map((item) => Number(item.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for table in page.locator("table").all():
        assert table.locator("caption").text_content().strip()
        assert table.locator("th[scope=col]").count() > 1
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.title() == "3 of 6 fail: test of sbert-minilm 1.0.0"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"

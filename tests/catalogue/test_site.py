"""The site of a catalogue, as files and in a real browser: Chromium."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from fakes.browsers import CONTRASTS
from fakes.listed import GIB, listed_entry, on_gpus, version_of
from fakes.served import need

from mealkit.assembly.templates import template_root
from mealkit.catalogue.entry import Trust
from mealkit.catalogue.site import Site, site_files
from mealkit.catalogue.site_pages import Version
from mealkit.digest import Digest
from mealkit.errors import problem
from mealkit.recipe.claims import Claimed, Metric, Tolerance
from mealkit.recipe.kit import Contact
from mealkit.recipe.lock import read_lock
from mealkit.recipe.lock_records import LockedPrompt

pytestmark = pytest.mark.xdist_group("site")

TEMPLATES = template_root() / "catalog"
KEY = "0123456789abcdef" * 4
EVIL = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>{{ 7 * 7 }}</pre>"


def lock_of(kit):
    path = Path(__file__).parents[2] / "kits" / kit / "kit.lock"
    return read_lock(path.read_bytes())


def versions():
    """Versions of five kits: two of one, one for GPUs, one hostile, and one that was not read."""
    rake, sbert = lock_of("rake"), lock_of("sbert-minilm")
    newer = rake.model_copy(
        update={
            "about": rake.about.model_copy(update={"version": "1.1.0"}),
            "hyperparameters": {**rake.hyperparameters, "seed": 3},
        }
    )
    prompt = LockedPrompt(file="prompts/q.jinja", sha256=Digest.of(b"x"), text=EVIL)
    claim = Claimed(
        name="table-1",
        source=EVIL,
        metric=Metric.SPEARMAN,
        value=0.8,
        tolerance=Tolerance(absolute=0.1),
    )
    hostile = sbert.model_copy(
        update={
            "about": sbert.about.model_copy(update={"name": "hostile", "description": EVIL}),
            "prompts": {"query": prompt},
            "claims": (claim,),
        }
    )
    owner = Contact(team=EVIL, contact="https://example.org/'\"><b>", support=EVIL)
    on_gpu = sbert.model_copy(update={"about": sbert.about.model_copy(update={"name": "large"})})
    signed = Trust(signers=(KEY,), attested=("https://cyclonedx.org/bom",))
    return (
        version_of(hostile, EVIL, owner=owner, license=EVIL),
        version_of(on_gpu, requirements={"amd64": on_gpus(14 * GIB)}),
        version_of(newer, "# Rake\n\nIt *finds* keywords.", trust=signed),
        version_of(rake),
        version_of(sbert),
        Version(listed_entry("unread"), problem=problem("IMAGE_NOT_FOUND", "it is gone")),
    )


@pytest.fixture(scope="module")
def files():
    return site_files(Site("Our kits", "registry.example.org/catalog", versions()), TEMPLATES)


@pytest.fixture(scope="module")
def site(files, tmp_path_factory):
    """The address of the written site."""
    root = tmp_path_factory.mktemp("site")
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root.as_uri()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        program = need("chromium")
        # Chromium's own sandbox wants more rights than containers of tests have.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(chromium, site):
    """Open a page; at the end, it must have asked for nothing elsewhere, and have no error."""
    contexts, wrong = [], []

    def open_at(path, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda asked: asked.url.startswith((site, "data:")) or wrong.append(asked.url),
        )
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(f"{site}/{path}")
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert wrong == []


def shown(page):
    return page.locator(".kit:visible h2 a").all_text_contents()


def test_the_same_catalogue_gives_the_same_bytes(files):
    """No times, and no order that depends on a machine."""
    again = site_files(Site("Our kits", "registry.example.org/catalog", versions()), TEMPLATES)
    assert again == files
    assert {"index.html", "catalog.json", "site.css", "kits/rake/1.1.0.html"} <= set(files)
    assert json.loads(files["kits/rake/1.1.0.cdx.json"])["bomFormat"] == "CycloneDX"


def test_every_page_is_well_formed_and_every_link_leads_somewhere(files):
    """Ids are unique; labels, descriptions and links inside of the site refer to what exists."""
    for name, data in files.items():
        if not name.endswith(".html"):
            continue
        root = ET.fromstring(data.decode().replace("<!DOCTYPE html>", ""))  # noqa: S314
        ids = [item.get("id") for item in root.iter() if item.get("id")]
        assert len(ids) == len(set(ids))
        for item in root.iter():
            for attribute in ("for", "aria-labelledby", "aria-describedby"):
                assert set((item.get(attribute) or "").split()) <= set(ids)
            link = item.get("href") or item.get("src") or "#"
            if link.startswith("#"):
                assert link == "#" or link[1:] in ids
            elif not link.startswith(("https:", "http:", "mailto:", "data:,")):
                path = (Path("/") / name).parent / link
                assert str(path.resolve())[1:] in files, link


def test_a_page_forbids_everything_from_elsewhere(files):
    """Its policy allows the style sheet and the script beside it; nothing is inline."""
    for name, data in files.items():
        if name.endswith(".html"):
            text = data.decode()
            assert "default-src 'none'; style-src 'self'; script-src 'self'" in text
            root = ET.fromstring(text.replace("<!DOCTYPE html>", ""))  # noqa: S314
            names = {name for item in root.iter() for name in item.attrib}
            assert not [name for name in names if name == "style" or name.startswith("on")]
            assert text.count("<script") == 1


FOUND = (
    ({}, ["hostile", "large", "rake", "sbert-minilm", "unread"]),
    ({"q": "RAKE keyword"}, ["rake"]),
    ({"q": "no such kit"}, []),
    ({"task": "prediction"}, ["rake"]),
    ({"licence": "MIT"}, ["unread"]),
    ({"gpu": "none"}, ["hostile", "rake", "sbert-minilm", "unread"]),
    ({"gpu": "t4"}, ["hostile", "rake", "sbert-minilm", "unread"]),
    ({"gpu": "h200", "q": "large"}, ["large"]),
    ({"gpu": "80-gib", "q": "large"}, ["large"]),
    ({"signed": "yes"}, ["rake"]),
)


def test_kits_are_found(open_page):
    """By words, task, licence, GPU and signature; the result is said, and is in the address."""
    page = open_page("index.html")
    page.fill("#q", "tokens of a search before")
    for fields, names in FOUND:
        page.fill("#q", fields.get("q", ""))
        page.set_checked("#signed", "signed" in fields)
        for name in ("task", "licence", "gpu"):
            page.select_option(f"#{name}", fields.get(name, ""))
        assert shown(page) == names
        assert page.locator("#found").text_content() == f"{len(names)} of 5 kits"
        assert page.locator("#nothing").is_visible() is (names == [])
        stated = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
        assert stated == fields
    page.reload()
    assert shown(page) == FOUND[-1][1]


def test_the_keyboard_is_enough(open_page):
    """The first key skips to the content; / searches; Escape clears; Enter opens a kit."""
    page = open_page("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("/")
    page.keyboard.type("rake")
    assert shown(page) == ["rake"]
    page.keyboard.press("Escape")
    assert len(shown(page)) == 5
    page.keyboard.type("rake")
    for _ in range(5):
        page.keyboard.press("Tab")
    assert (
        page.evaluate("getComputedStyle(document.activeElement, '::after').outlineStyle") == "solid"
    )
    page.keyboard.press("Enter")
    page.wait_for_url("**/kits/rake/1.1.0.html")
    assert page.locator("h1").text_content() == "rake 1.1.0"


def test_pages_work_without_a_script(open_page):
    """All kits are listed; only the search, the filters and the buttons are missing."""
    page = open_page("index.html", java_script_enabled=False)
    assert len(shown(page)) == 5
    assert not page.locator("#filters").is_visible()
    page.click("text=rake")
    assert page.locator("h1").text_content() == "rake 1.1.0"
    assert page.locator("button").count() == 0


def test_a_kit_has_a_page_with_everything(open_page):
    """README, owner, recipe, requirements, layers, SBOM, signatures, changes, and commands."""
    page = open_page("kits/rake/1.1.0.html")
    text = page.inner_text("main")
    for part in (
        "mealkit run rake",
        "It finds keywords.",
        "mealkit maintainers",
        "Kits with the same recipe digest",
        "the kit's own files",
        "Download it as CycloneDX 1.6",
        KEY,
        "https://cyclonedx.org/bom",
        "What changed since 1.0.0",
    ):
        assert part in text
    changes = page.locator(".changes tbody tr").all_inner_texts()
    assert ["hyperparameters.seed", "0", "3"] in [re.split(r"[\s+\u2212]+", row) for row in changes]
    page.click("text=All components")
    assert (
        page.locator("text=regex").first.is_visible()
        or page.locator("section details tr").count() > 5
    )
    page.click("#versions ~ ul >> text=1.0.0")
    assert "This is not the newest version: rake 1.1.0 is." in page.inner_text("main")


def test_the_memory_of_a_kit_is_a_picture_with_a_table(open_page):
    """A screen reader gets the picture's title, and the numbers from the table."""
    page = open_page("kits/large/1.0.0.html")
    picture = page.get_by_role("img", name=re.compile("Memory on the GPU: probably"))
    assert picture.bounding_box()["width"] > 300
    assert (
        page.locator("#picture-table tbody tr").count()
        == page.locator("svg.memory rect[class^=c]").count()
    )
    assert "T4" in page.locator("dt:text-is('does not fit') + dd").inner_text()


def test_a_command_can_be_copied(open_page):
    """With one button; its name says which command."""
    page = open_page("kits/rake/1.1.0.html", permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command mealkit run rake", exact=True).click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "mealkit run rake"


def test_a_hostile_kit_is_only_text(open_page):
    """Descriptions, owners, licences, prompts and READMEs run and load nothing."""
    page = open_page("index.html")
    page.click("text=hostile")
    assert EVIL in page.inner_text(".prompt")
    assert "<script>alert(2)</script>" in page.inner_text(".prose")
    assert page.locator("main img, main script, main b").count() == 0
    assert "{{ 7 * 7 }}" in page.inner_text(".lead")


def test_a_kit_that_cannot_be_read_has_what_the_catalogue_states(open_page):
    """And says why."""
    page = open_page("kits/unread/1.0.0.html")
    assert "it is gone" in page.inner_text(".notice")
    assert "Finds what matters." in page.inner_text("main")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(open_page, scheme):
    """Every text has a contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3)."""
    papers = set()
    for path in (
        "index.html",
        "kits/rake/1.1.0.html",
        "kits/large/1.0.0.html",
    ):
        page = open_page(path, color_scheme=scheme)
        assert page.evaluate(CONTRASTS) == []
        papers.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert papers == {"rgb(246, 245, 240)" if scheme == "light" else "rgb(17, 21, 18)"}


def test_no_page_is_wider_than_the_window(open_page):
    """On a phone, only code and tables scroll sideways (WCAG 2.2, 1.4.10)."""
    for path in ("index.html", "kits/rake/1.1.0.html", "kits/large/1.0.0.html"):
        page = open_page(path)
        for width in (320, 390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name_and_every_page_landmarks(open_page):
    """As a screen reader reads them."""
    page = open_page("index.html")
    assert page.get_by_role("search", name="Find a kit").is_visible()
    for role, name in (
        ("searchbox", "Search"),
        ("combobox", "Fits my GPU"),
        ("checkbox", "signed only"),
    ):
        assert page.get_by_role(role, name=name).count() == 1
    for path in ("index.html", "kits/rake/1.1.0.html"):
        page = open_page(path)
        counts = [page.get_by_role(role).count() for role in ("banner", "main", "contentinfo")]
        assert counts == [1, 1, 1]
        assert page.locator("h1").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.title()

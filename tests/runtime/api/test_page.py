"""The page of a kit in a real browser: try it, what it is, how it is, and its calls."""

import base64
import json
from itertools import pairwise

import pytest
from fakes.browsers import CONTRASTS
from runtime.conftest import MODEL_NAME, python_kit, with_code

from mealkit.recipe.cases import Case
from mealkit.recipe.claims import Claimed
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.kit import Feature, Task
from mealkit.recipe.lock_records import About
from mealkit.recipe.operations import Budget, Cost, Operations
from mealkit.runtime.gateway.keys import new_key

pytestmark = pytest.mark.xdist_group("page")

EVIL = "<img src=x onerror=alert(1)>"
BIDI = "\u202e"
HANDLER = '''
"""Inputs and outputs of every kind."""
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field


class Handler:
    def predict(
        self,
        text: Annotated[str, Field(description="<b>What</b> to read", examples=["salt"])],
        picture: Path,
        count: Annotated[int, Field(ge=1, le=9)] = 2,
        share: float = 0.5,
        loud: bool = False,
        kind: Literal["soup", "stew"] = "stew",
        words: list[str] = [],
        when: str | None = None,
    ) -> dict[str, Any]:
        if text == "pepper":
            raise ValueError("<b>no pepper</b>")
        rows = [{"word": text, "at": number} for number in range(count)]
        inputs = {"share": share, "loud": loud, "kind": kind, "words": words, "when": when}
        return {"rows": rows, "inputs": inputs, "size": len(picture.read_bytes()), "file": picture}
'''
# One red pixel.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==")  # fmt: skip


def hostile(lock):
    """Fill a lock's texts with what a page must not take for its own."""
    about = lock.about.model_dump() | {
        "description": f"{EVIL}</script>",
        "paper": {
            "title": f"On {EVIL}",
            "arxiv": "1908.10084",
            "url": "https://example.org/?a=<b>",
        },
        "owner": lock.about.owner.model_dump() | {"support": EVIL},
    }
    claim = Claimed.model_validate_json(
        json.dumps(
            {
                "name": "speed",
                "source": f"Table 1 {EVIL}",
                "metric": "tokens_per_second",
                "value": 90,
                "paper_value": 120,
                "tolerance": {"relative": 0.1},
            }
        )
    )
    rules = {"messages": {"length": {"maximum_characters": 4000, "action": "warn"}}}
    case = Case.model_validate_json(
        json.dumps(
            {
                "name": "first",
                "request": {
                    "messages": [
                        {"role": "system", "content": "Be short."},
                        {"role": "user", "content": EVIL},
                    ]
                },
                "expect": [],
            }
        )
    )
    budget = Budget(name="monthly", tokens=10**9)
    change = {
        "ops": Operations(cost=Cost(budgets=(budget,))),
        "about": About.model_validate(about),
        "claims": (claim,),
        "data": DataContract.model_validate_json(json.dumps({"inputs": rules})),
        "cases": (case,),
    }
    return lock.model_copy(update=change)


@pytest.fixture(scope="module")
def chat(start_shared, make_api_lock):
    prompts = {"greet": (f"Hello <b>{{{{ name }}}}</b>!{BIDI}", ("name",))}
    overrides = {"temperature": {"minimum": 0, "maximum": 1}}
    lock = make_api_lock(features=frozenset(Feature), prompts=prompts, overrides=overrides)
    return start_shared(hostile(lock)).wait_ready()


@pytest.fixture(scope="module")
def keyed(start_shared, make_api_lock):
    """A kit of embeddings that requires a key, and the key."""
    key, kept = new_key("team")
    environment = {"MEALKIT_KEYS": kept.line, "MEALKIT_OPEN": ""}
    return start_shared(make_api_lock(Task.EMBEDDINGS), environment=environment).wait_ready(), key


@pytest.fixture
def visit(browser):
    """Open a kit's page: ``visit(kit, path="/", **options)``; it must not complain or load more."""
    contexts, wrong = [], []

    def opened(kit, path="/", ignored=(), **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        base = str(kit.client.base_url).rstrip("/") + "/"
        page.on(
            "request",
            lambda asked: asked.url.startswith((base, "data:")) or wrong.append(asked.url),
        )
        page.on(
            "console",
            lambda said: any(text in said.text for text in ignored) or wrong.append(said.text),
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(base.rstrip("/") + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def send(page):
    page.get_by_role("button", name="Send", exact=True).click()


def test_chat_streams_and_goes_on(chat, visit):
    """The first case is prefilled; answers stream; the next message continues the conversation."""
    page = visit(chat)
    assert page.get_by_label("System", exact=True).input_value() == "Be short."
    message = page.get_by_label("Message", exact=True)
    assert message.input_value() == EVIL
    message.fill(f"soup {BIDI}{EVIL}")
    send(page)
    log = page.get_by_role("log", name="Conversation")
    log.locator(".turn.assistant").get_by_text("SOUP").wait_for()
    page.get_by_text("tokens/s").first.wait_for()
    said = log.locator(".turn.assistant").inner_text()
    assert "\u27e8U+202E\u27e9<IMG SRC=X ONERROR=ALERT(1)>" in said
    page.get_by_text("Parameters (2)").click()
    page.get_by_label("temperature", exact=True).fill("0.5")
    message.fill("echo")
    send(page)
    turn = log.locator(".turn.assistant").nth(1)
    turn.get_by_text('"stream": true').wait_for()
    sent = json.loads(turn.locator(".said").inner_text())
    roles = [item["role"] for item in sent["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert sent["temperature"] == 0.5
    assert page.locator("img").count() == 0


def test_a_stream_can_be_stopped(chat, visit, tmp_path):
    """Stop closes the stream, which the engine notices; the text so far stays."""
    page = visit(chat)
    gone = tmp_path / "gone"
    page.get_by_label("Message", exact=True).fill(f"gone:{gone}")
    send(page)
    page.get_by_role("log").get_by_text("on on").wait_for()
    # By the keyboard: the button moves as long as the text grows.
    page.get_by_role("button", name="Stop").press("Enter")
    page.get_by_text("Stopped after").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Send"
    chat.wait_for(gone.exists)
    assert "on on" in page.locator(".turn.assistant").inner_text()


def test_problems_are_shown(chat, visit):
    """A refusal shows code, message and owner, also in the middle of a stream."""
    page = visit(chat, ignored=("400",))
    page.get_by_label("Message", exact=True).fill("refuse")
    send(page)
    problem = page.get_by_role("alert").locator(".problem")
    problem.get_by_text("300 tokens, the limit is 16").wait_for()
    assert "REQUEST_TOO_LONG" in problem.inner_text()
    assert "caller" in problem.inner_text()
    page.get_by_label("Message", exact=True).fill("error:2")
    send(page)
    problem.get_by_text("ENGINE_OUT_OF_MEMORY").wait_for()
    page.get_by_label("Message", exact=True).fill("hello")
    page.get_by_text("Parameters (2)").click()
    page.get_by_label("temperature", exact=True).fill("7")
    send(page)
    page.get_by_role("alert").get_by_text("NOT_SENT").wait_for()


def test_prompts_and_other_endpoints(chat, visit):
    """A prompt is filled by its variables; a completion streams; the rest is sent as JSON."""
    page = visit(chat)
    page.get_by_label("Prompt", exact=True).select_option("greet")
    page.get_by_label("name", exact=True).fill("Ann")
    page.get_by_label("Message", exact=True).fill("")
    send(page)
    page.get_by_role("log").get_by_text("HELLO <B>ANN</B>!").wait_for()
    # The arrow keys move between the tabs.
    page.get_by_role("tab", name="Chat").press("ArrowRight")
    assert page.get_by_role("tab", name="Completion").get_attribute("aria-selected") == "true"
    page.get_by_label("Beginning of the text").fill("once upon")
    send(page)
    page.get_by_role("log").locator(".said").get_by_text("ONCE UPON ", exact=True).wait_for()
    page.get_by_role("tab", name="Tokenize").click()
    page.get_by_role("textbox", name="The request as JSON").fill(
        json.dumps({"model": MODEL_NAME, "prompt": "one three"})
    )
    page.get_by_role("button", name="Send this JSON").click()
    page.get_by_role("tabpanel").get_by_text("max_model_len").first.wait_for()


@pytest.mark.parametrize("has_scripts", [True, False])
def test_what_it_is(chat, visit, has_scripts):
    """Facts, claims, contract and calls are there without scripts, too; hostile texts are texts."""
    page = visit(chat, java_script_enabled=has_scripts)
    assert page.title() == "kit 1.0"
    shown = page.locator("main").inner_text()
    for text in (f"{EVIL}</script>", f"On {EVIL}", "120.0 tokens/s", "81.0 tokens/s or more",
                 "Not tested here", "1,000,000,000 tokens per month, for all callers", "maximum characters: 4000", "sha256:", "Apache-2.0", "0 to 1"):  # fmt: skip
        assert text in shown
    assert page.locator("#prompts pre").inner_text() == "Hello <b>{{ name }}</b>!\u27e8U+202E\u27e9"
    address = str(chat.client.base_url).rstrip("/")
    call = page.locator("#calls pre").first.inner_text()
    assert f"curl {address}/v1/chat/completions" in call
    assert page.locator("main img, main script, main b").count() == 0
    page.locator("nav a", has_text="Errors").click()
    assert page.url.endswith("#errors")
    if not has_scripts:
        assert page.get_by_text("Turn on JavaScript").count() == 2


def test_how_it_is(chat, visit):
    """State, load, and problems by owner are read from health and metrics."""
    page = visit(chat, ignored=("400",))
    now = page.locator("#now")
    now.get_by_text("Waiting", exact=True).wait_for()
    assert page.locator("#chip").inner_text() == "ready"
    assert now.locator(".tile").first.inner_text().startswith("State\nready")
    chat.chat("refuse")
    assert now.locator(".tile", has_text="Answered").inner_text().startswith("Answered\n")
    now.get_by_role("button", name="Pause").click()
    now.get_by_role("button", name="Resume").click()
    now.get_by_text("REQUEST_TOO_LONG").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everyone_can_use_it(chat, visit, scheme):
    """Contrast, names of controls, the skip link, no sideways scrolling on a small phone."""
    options = {"color_scheme": scheme, "reduced_motion": "reduce"}
    page = visit(chat, viewport={"width": 320, "height": 640}, **options)
    page.locator("#now .tile").first.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.get_by_text("Parameters (2)").click()
    assert page.evaluate(CONTRASTS) == []
    nameless = """() => [...document.querySelectorAll("input, select, textarea, button, [role=region]")]
      .filter((item) => !(item.labels?.length || item.ariaLabel || item.textContent.trim())).map((item) => item.outerHTML)"""
    assert page.evaluate(nameless) == []
    levels = page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map((item) => Number(item.tagName[1]))"
    )
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


def test_the_policy(chat, visit):
    """No script or style within the page runs, and no text can be made markup."""
    policy = chat.client.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    page = visit(chat, ignored=("Content Security Policy", "TrustedHTML", "TrustedScript"))
    page.locator("#now .tile").first.wait_for()
    made = "() => { const made = document.createElement('script'); made.textContent = 'window.ran = 1'; document.body.append(made); return window.ran ?? 'nothing'; }"  # fmt: skip
    assert page.evaluate(f"() => {{ try {{ return ({made})(); }} catch (error) {{ return error.name; }} }}") in {"nothing", "TypeError"}  # fmt: skip
    assert page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>'; } catch (error) { return error.name; } }") == "TypeError"  # fmt: skip


def test_description_is_linked(chat, visit):
    """The link to the description leads to it; /docs shows the same page, at its calls."""
    page = visit(chat, path="/docs", ignored=("404",))  # a browser asks for an icon of the JSON
    with page.expect_navigation() as found:
        page.locator("a", has_text="/openapi.json").first.click()
    assert found.value.headers["content-type"] == "application/json"


def test_a_key_opens_the_page(keyed, visit):
    """Without a key there is a field and no fact; with it everything works, and a reload keeps it."""
    kit, key = keyed
    page = visit(kit, ignored=("401",))
    assert "kit 1.0" not in page.content()
    assert MODEL_NAME not in page.content()
    page.get_by_label("API key").fill("mk_wrong")
    page.get_by_role("button", name="Open").click()
    page.get_by_text("not a key of this kit").wait_for()
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Remove Text 1").click()
    page.get_by_role("button", name="Remove Text 1").wait_for()
    for number, text in ((2, "a first one"), (3, "a second one")):
        page.get_by_role("button", name="Add Text").click()
        page.get_by_label(f"Text {number}", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).press("Enter")
    page.get_by_role("region", name="Cosine similarities").wait_for()
    rows = page.get_by_role("region", name="Cosine similarities").locator("tbody tr")
    assert rows.count() == 3
    assert rows.nth(2).locator("td").nth(3).inner_text() == "1.000"
    assert page.evaluate("document.activeElement.textContent") == "Send"
    assert key not in page.url
    # The metrics need the key here, too.
    page.locator("#now").get_by_text("Waiting", exact=True).wait_for()
    page.reload()
    page.get_by_label("Text 1", exact=True).wait_for()
    assert "$MEALKIT_API_KEY" in page.locator("#calls pre").first.inner_text()
    assert key not in "".join(kit.raw)


def test_an_open_page_asks_for_the_key(start_shared, make_api_lock, visit):
    """MEALKIT_OPEN=docs shows the page to all; its requests wait for a key in the field."""
    key, kept = new_key("team")
    environment = {"MEALKIT_KEYS": kept.line, "MEALKIT_OPEN": "docs"}
    kit = start_shared(make_api_lock(Task.RERANKING), environment=environment).wait_ready()
    page = visit(kit, ignored=("401",))
    assert "kit 1.0" in page.title()
    page.locator("#trying").get_by_text("REQUEST_KEY").wait_for()
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use", exact=True).click()
    page.get_by_label("Query").fill("second")
    send(page)
    page.locator(".ranking li").first.wait_for()
    assert page.locator(".ranking li").first.inner_text().startswith("a second one")


def test_below_a_prefix(chat, browser):
    """All addresses are relative, so a proxy may add a prefix."""
    base = str(chat.client.base_url).rstrip("/")
    context = browser.new_context()
    page = context.new_page()

    def proxy(route):
        path = route.request.url.removeprefix(f"{base}/kits/soup")
        assert path != route.request.url
        route.fulfill(response=route.fetch(url=f"{base}{path}"))

    page.route("**/*", proxy)
    for path in ("/", "/docs"):
        page.goto(f"{base}/kits/soup{path}")
        page.get_by_label("Message", exact=True).fill("below a prefix")
        send(page)
        page.locator(".turn.assistant").get_by_text("BELOW A PREFIX").wait_for()
    context.close()


def test_labels(start_shared, make_api_lock, visit):
    """Labels have bars."""
    page = visit(start_shared(make_api_lock(Task.CLASSIFICATION)).wait_ready())
    send(page)
    page.locator(".bars").wait_for()
    assert page.locator(".bars > div").first.inner_text().split() == ["short", "75.0", "%"]


def test_a_form_of_the_papers_inputs(start_shared, make_shared_lock, visit):
    """Numbers, texts, choices, lists and pictures get fields; tables and pictures are shown."""
    kit = start_shared(python_kit(make_shared_lock), with_code(HANDLER)).wait_ready()
    page = visit(kit, ignored=("400",))
    form = page.locator("#trying form")
    assert form.get_by_label("text", exact=True).input_value() == "salt"
    form.get_by_label("picture").set_input_files(
        files=[{"name": "red.png", "mimeType": "image/png", "buffer": PNG}]
    )
    form.get_by_role("img", name="The picture for picture").wait_for()
    form.get_by_label("count").fill("3")
    form.get_by_label("loud").check()
    form.get_by_label("kind").select_option("soup")
    form.get_by_role("button", name="Add words").click()
    form.get_by_label("words 1", exact=True).fill("leek")
    send(page)
    result = page.locator(".result")
    result.get_by_role("img").wait_for()
    assert result.get_by_role("region").locator("tbody tr").count() == 3
    facts = result.inner_text()
    for text in ("soup", "leek", "true", str(len(PNG))):
        assert text in facts
    form.get_by_label("text", exact=True).fill("pepper")
    send(page)
    result.get_by_text("<b>no pepper</b>").wait_for()
    assert "what" not in [item.inner_text() for item in page.locator("form b").all()]

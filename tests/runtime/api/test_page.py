"""The page for people, in a real browser: no script, nothing loaded, no word of complaint."""

import pytest

from mealkit.recipe.kit import Feature


@pytest.mark.parametrize("has_scripts", [True, False])
def test_page(start, make_api_lock, browser, has_scripts):
    """The page is complete with and without scripts, and loads nothing from other hosts."""
    prompts = {"greet": ("Hello <b>{{ name }}</b>!", ("name",))}
    lock = make_api_lock(features=frozenset(Feature), prompts=prompts)
    kit = start(lock).wait_ready()
    context = browser.new_context(java_script_enabled=has_scripts)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    address = str(kit.client.base_url).rstrip("/")
    answer = page.goto(f"{address}/docs")
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.title() == "kit 1.0: API"
    assert page.locator("h3", has_text="/v1/chat/completions").is_visible()
    assert page.locator("#prompts pre").inner_text() == "Hello <b>{{ name }}</b>!"
    assert f"curl {address}/v1/chat/completions" in page.locator("#start pre").first.inner_text()
    # The style is in force: its digest is the one that the policy allows.
    columns = page.locator(".frame").evaluate("item => getComputedStyle(item).display")
    assert columns == "grid"
    page.locator("nav a", has_text="Errors").click()
    assert page.url.endswith("#errors")
    page.set_viewport_size({"width": 360, "height": 700})
    width = page.locator("body").evaluate("item => item.scrollWidth")
    assert width <= 360
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} == {f"{address}/docs"}
    context.close()


def test_description_is_linked(start, make_api_lock, browser):
    """The link to the description leads to it."""
    kit = start(make_api_lock()).wait_ready()
    page = browser.new_page()
    page.goto(f"{kit.client.base_url}/docs")
    with page.expect_navigation() as found:
        page.locator("a", has_text="/openapi.json").click()
    assert found.value.headers["content-type"] == "application/json"

"""The page's files, and what a browser without a key gets."""

import pytest

from mealkit.assembly.shipped import shipped_library
from mealkit.runtime.api.page import PARTS
from mealkit.runtime.gateway.keys import new_key
from mealkit.runtime.urls import PAGE_FILES, PAGE_PATHS

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def keyed(start_shared):
    key, kept = new_key("team")
    return start_shared(environment={"MEALKIT_KEYS": kept.line}).wait_ready(), key


def test_files_of_the_page(keyed):
    """Each file is served at its path without a key, and only once to a browser that has it."""
    kit, _ = keyed
    for path in PAGE_PATHS:
        answer = kit.client.get(path)
        kind = "text/css" if path.endswith(".css") else "text/javascript"
        assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-cache"
        again = kit.client.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
    for path in ("/page/page.html.jinja", "/page/..%2fpage.py", "/page/x.js"):
        assert kit.client.get(path).status_code in {401, 404}


def test_files_ship_and_are_small():
    """The image has them all; scripts and style are less than 64 KiB together."""
    kept = {path.name for path in PARTS.iterdir() if path.suffix in {".js", ".css"}}
    assert kept == set(PAGE_FILES)
    assert sum((PARTS / name).stat().st_size for name in PAGE_FILES) < 64 * 1024
    shipped = shipped_library("onnx")
    assert {f"mealkit/runtime/api/page_parts/{name}" for name in PAGE_FILES} <= shipped.keys()


def test_a_browser_without_a_key(keyed):
    """It gets a page with a field and no fact about the kit; a program gets the problem."""
    kit, key = keyed
    for path in ("/", "/docs"):
        answer = kit.client.get(path, headers=BROWSER)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (401, "no-store")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mealkit"'
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert "authors" not in answer.text
        assert kit.client.get(path).json()["error"]["code"] == "REQUEST_KEY"
        opened = kit.client.get(path, headers=BROWSER | {"Authorization": f"Bearer {key}"})
        assert (opened.status_code, "authors" in opened.text) == (200, True)
    assert kit.client.get("/v1/metadata", headers=BROWSER).json()["error"]["code"] == "REQUEST_KEY"


def test_an_open_page(start):
    """MEALKIT_OPEN=docs shows the page to all; requests from it still need a key."""
    environment = {"MEALKIT_KEYS": new_key("a")[1].line, "MEALKIT_OPEN": "docs"}
    kit = start(environment=environment).wait_ready()
    answer = kit.client.get("/", headers=BROWSER)
    assert answer.status_code == 200
    assert "data-needs-key" in answer.text


def test_each_address_has_its_page(start):
    """Pages are kept by their address, and not for more addresses than a kit has."""
    kit = start().wait_ready()
    for number in (*range(1, 12), 1):
        host = f"10.0.0.{number}:8000"
        page = kit.client.get("/docs", headers={"Host": host}).text
        assert f"curl http://{host}/v1/embeddings" in page

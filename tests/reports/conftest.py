"""Chromium, for the tests that look at pages."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.served import need


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Debian's browser. A process can have only one at a time, so it ends with the module."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        program = need("chromium")
        # Chromium's own sandbox wants more rights than containers of tests have.
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end, it must have asked for nothing elsewhere, and have no error."""
    contexts, wrong = [], []

    def open_file(data: bytes, **options: Any) -> Any:
        file = tmp_path / "page.html"
        file.write_bytes(data)
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "request",
            lambda asked: asked.url.startswith((file.as_uri(), "data:")) or wrong.append(asked.url),
        )
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.goto(file.as_uri())
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert wrong == []

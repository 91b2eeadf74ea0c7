"""Code that streams, ends its process, or is stuck: what a caller of its container sees."""

import json
import time
import urllib.request
from urllib.error import HTTPError

import pytest
from fakes.little import write_kit

HANDLER = """\
import os
import time
from typing import Iterator


class Handler:
    def predict(self, text: str, then: str = "") -> Iterator[str]:
        for letter in text:
            yield letter
            if then == "end":
                os._exit(3)
            if then == "hang":
                time.sleep(3600)
"""

KIT = {
    "apiVersion": "mealkit/v1",
    "name": "letters",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
    "model": {"name": "letters", "license": "Apache-2.0", "task": "prediction", "weights": []},
    "runtime": {
        "engine": "python",
        "settings": {"handler": "handler.py:Handler"},
        "code": ["handler.py"],
        "base": {"source": "debian", "suite": "trixie"},
        "python": "3.13",
    },
    "serving": {"timeout_seconds": 3, "canary_seconds": 1},
}


@pytest.fixture
def url(tmp_path, run_kit_named):
    """A kit without any weights, running."""
    folder = write_kit(tmp_path / "letters", KIT)
    (folder / "handler.py").write_text(HANDLER)
    return run_kit_named(folder, "sandbox").url


def ask(url, *, stream=False, **values):
    """Return status, and the answer or the events."""
    body = json.dumps({"model": "letters", "input": values, "stream": stream}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/predict", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            text = answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
    if not stream:
        return 200, json.loads(text)
    # A comment keeps a silent stream open: it says nothing.
    events = [item for item in text.split("\n\n") if item and not item.startswith(":")]
    return 200, [item.removeprefix("data: ") for item in events]


def ask_until_answered(url):
    """Ask until the kit answers again; return the codes of the problems on the way."""
    codes = set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status, form = ask(url, text="x")
        if status == 200:
            return codes
        codes.add(form["error"]["code"])
        time.sleep(0.1)
    raise AssertionError(codes)


@pytest.mark.online
@pytest.mark.xdist_group("own-code")
def test_a_container_streams_and_outlives_its_code(url):
    """Each failure is the author's, in its place; afterwards the kit answers again."""
    assert ask(url, text="ab")[1]["output"] == ["a", "b"]
    pieces = ['{"output":"a"}', '{"output":"b"}', "[DONE]"]
    assert ask(url, stream=True, text="ab") == (200, pieces)

    _, (piece, last) = ask(url, stream=True, text="ab", then="end")
    assert piece == '{"output":"a"}'
    error = json.loads(last)["error"]
    assert (error["code"], error["owner"]) == ("ENGINE_DIED", "kit-author")
    ask_until_answered(url)

    _, (piece, last) = ask(url, stream=True, text="ab", then="hang")
    assert json.loads(last)["error"]["code"] == "REQUEST_TIMEOUT"
    assert ask_until_answered(url) & {"ENGINE_HUNG", "NOT_READY"}

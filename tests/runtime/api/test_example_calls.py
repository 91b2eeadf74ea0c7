"""Calls as text: they run as they are, and show what they do."""

import contextlib
import io
import json
import subprocess

import pytest
from runtime.conftest import MODEL_NAME

from mealkit.recipe.kit import Feature
from mealkit.runtime.api.example_calls import calls

CHAT = "/v1/chat/completions"
# A quote for each language, and a character that would turn the order of the line.
SAID = 'it\'s "salt" \u202e& $HOME `id`'


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock):
    prompts = {"greet": ("Hello {{ name }}!", ("name",))}
    return start_shared(make_api_lock(features=frozenset(Feature), prompts=prompts)).wait_ready()


def written(kit, body):
    address = str(kit.client.base_url).rstrip("/")
    return {call.language: call.text for call in calls(CHAT, body, address, needs_key=False)}


def printed(code):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})  # noqa: S102  it is our own
    return out.getvalue()


def test_calls_do_what_they_show(kit):
    """curl and both ways in Python get the answer to exactly the example's text."""
    body = {"model": MODEL_NAME, "messages": [{"role": "user", "content": SAID}], "max_tokens": 16}
    found = written(kit, body)
    assert all("\u202e" not in text for text in found.values())
    expected = f"{SAID.upper()} "
    done = subprocess.run(["sh", "-c", found["curl"]], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == expected
    assert printed(found["Python, with openai"]) == f"{expected}\n"
    assert repr(expected) in printed(found["Python, without packages"])
    assert json.dumps(body, ensure_ascii=False).replace("\u202e", "\\u202e") in found["JavaScript"]


def test_a_prompt_of_the_kit_with_openais_client(kit):
    """What OpenAI's client has no argument for goes into extra_body."""
    prompt = {"name": "greet", "variables": {"name": "Ann"}}
    found = written(kit, {"model": MODEL_NAME, "prompt": prompt})
    assert printed(found["Python, with openai"]) == "HELLO ANN! \n"


def test_a_key_is_taken_from_the_environment():
    """No call has a place for the key itself."""
    for call in calls("/v1/predict", {"input": {}}, "http://kit", needs_key=True):
        assert "MEALKIT_API_KEY" in call.text
    for call in calls("/v1/predict", {"input": {}}, "http://kit", needs_key=False):
        assert "Authorization" not in call.text

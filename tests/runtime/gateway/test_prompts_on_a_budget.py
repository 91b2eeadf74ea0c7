"""Prompts are filled in where all callers are answered: what costs too much is refused at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mealkit.recipe.kit import Task

LONG = "ab " * 700_000
PROMPTS = {
    "wrapped": ("{{ text | wordwrap }}", ("text",)),
    "endless": (
        "{{ text }}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        ("text",),
    ),
    "plain": ("query: {{ text }}", ("text",)),
    "trimmed": ("{% if text %}query: {{ text | trim }}{% endif %}", ("text",)),
}


@pytest.fixture(scope="module")
def kit(start_shared, make_shared_lock):
    lock = make_shared_lock(task=Task.EMBEDDINGS, prompts=PROMPTS)
    return start_shared(lock).wait_ready()


def problem_of(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["owner"]


def test_values_that_make_a_prompt_costly_are_the_callers(kit):
    """A text that is too long for what the prompt does with it is refused, as too large."""
    answer = kit.embed(LONG, prompt="wrapped")
    assert problem_of(answer) == (413, "REQUEST_TOO_LARGE", "caller")


def test_a_prompt_that_is_costly_whatever_is_sent_is_the_authors(kit):
    """A prompt that never ends is aborted, and its author is the owner."""
    answer = kit.embed("short", prompt="endless")
    assert problem_of(answer) == (500, "TEMPLATE_COST", "kit-author")


def test_others_are_answered_meanwhile(kit):
    """Costly prompts in numbers leave the gateway to its other callers, and it stays ready."""
    with ThreadPoolExecutor(8) as pool:
        costly = [pool.submit(kit.embed, LONG, prompt="wrapped") for _ in range(8)]
        costly += [pool.submit(kit.embed, ["a"] * 2048, prompt="endless") for _ in range(8)]
        assert kit.embed("short", prompt="plain").status_code == 200
        assert kit.ready().status_code == 200
        assert {item.result().status_code for item in costly} <= {413, 429, 500}
    assert kit.ready().status_code == 200


@pytest.mark.parametrize("prompt", ["plain", "trimmed"])
def test_as_many_texts_as_there_may_be(kit, prompt):
    """The usual prompts are put around the most inputs that a request may have."""
    answer = kit.embed([f"{number} " for number in range(2048)], prompt=prompt)
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 2048


def test_a_long_text_in_a_plain_prompt(kit):
    """Text with variables in it takes whatever a request may have."""
    assert kit.embed("a " * 1_900_000, prompt="plain").status_code == 200

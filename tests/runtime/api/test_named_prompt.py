"""Prompts of the kit by name: the same on every endpoint."""

import pytest

from mealkit.recipe.kit import Task
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.classify import CLASSIFY
from mealkit.runtime.api.completions import COMPLETIONS
from mealkit.runtime.api.embeddings import EMBEDDINGS
from mealkit.runtime.api.rerank import RERANK
from mealkit.runtime.api.tokenize import TOKENIZE

UNSUPPORTED = "REQUEST_UNSUPPORTED"


def test_prompt_becomes_a_user_message(kit, ask):
    """In a chat a prompt is the last message, or the only one."""
    said = {"role": "user", "content": "Hello Ann!\n"}
    values = {"prompt": "greet", "variables": {"name": "Ann"}}
    assert ask(CHAT, kit(), **values)["messages"] == [said]
    system = {"role": "system", "content": "s"}
    assert ask(CHAT, kit(), messages=[system], **values)["messages"] == [system, said]
    one = {"prompt": {"name": "greet", "variables": {"name": "Ann"}}}
    assert ask(CHAT, kit(), **one)["messages"] == [said]
    assert ask(CHAT, kit(), prompt="plain")["messages"][0]["content"] == "as it is"


def test_prompt_of_a_completion(kit, ask):
    """Where prompt is text, an object names one of the kit's."""
    named = {"name": "greet", "variables": {"name": "Ann"}}
    assert ask(COMPLETIONS, kit(), prompt=named)["prompt"] == "Hello Ann!\n"
    assert ask(COMPLETIONS, kit(), prompt="greet")["prompt"] == "greet"
    assert ask(TOKENIZE, kit(), prompt=named)["prompt"] == "Hello Ann!\n"


@pytest.mark.parametrize(
    ("endpoint", "task"),
    [(EMBEDDINGS, Task.EMBEDDINGS), (CLASSIFY, Task.CLASSIFICATION)],
)
def test_prompt_around_each_input(kit, ask, endpoint, task):
    """Each input is the variable ``text`` of the prompt."""
    assert ask(endpoint, kit(task), input=["a", "b"], prompt="query")["input"] == [
        "query: a",
        "query: b",
    ]
    asked = ask(endpoint, kit(task), input="a", prompt="ask", variables={"task": "find"})
    assert asked["input"] == ["find: a"]
    refused = ask(endpoint, kit(task), input="a", prompt="greet", variables={"name": "x"})
    assert refused == (UNSUPPORTED, "prompt")
    twice = {"task": "find", "text": "x"}
    refused = ask(endpoint, kit(task), input="a", prompt="ask", variables=twice)
    assert refused == (UNSUPPORTED, "variables.text")


def test_prompt_around_a_query(kit, ask):
    """In reranking the prompt is for the query, not for the documents."""
    asked = ask(RERANK, kit(Task.RERANKING), query="a", documents=["b"], prompt="query")
    assert (asked["query"], asked["documents"]) == ("query: a", ["b"])


@pytest.mark.parametrize(
    ("values", "code", "where"),
    [
        ({"prompt": "other"}, UNSUPPORTED, "prompt"),
        ({"prompt": "greet"}, "REQUEST_INVALID", "variables.name"),
        ({"prompt": "greet", "variables": {}}, "REQUEST_INVALID", "variables.name"),
        ({"prompt": "greet", "variables": {"name": 7}}, "REQUEST_INVALID", "variables.name"),
        ({"prompt": "greet", "variables": {"name": None}}, "REQUEST_INVALID", "variables.name"),
        ({"prompt": "greet", "variables": {"name": "a", "x": "b"}}, UNSUPPORTED, "variables.x"),
        ({"prompt": "plain", "variables": {"x": "b"}}, UNSUPPORTED, "variables.x"),
        ({"variables": {"name": "a"}}, UNSUPPORTED, "variables"),
        ({"prompt": {"name": "plain"}, "variables": {}}, UNSUPPORTED, "variables"),
        ({"prompt": {"name": "greet", "text": "x"}}, UNSUPPORTED, "prompt.text"),
    ],
)
def test_refusals(kit, ask, values, code, where):
    """Unknown prompts and variables, missing ones, and what is not text, are refused by name."""
    hello = [{"role": "user", "content": "hello"}]
    assert ask(CHAT, kit(), messages=hello, **values) == (code, where)


def test_a_prompt_that_makes_nothing_of_an_input(offer, ask):
    """An engine is never asked for an empty text: the request is refused."""
    kit = offer(Task.EMBEDDINGS, prompts={"p": ("{{ text if text != 'b' }}", ("text",))})
    filled = ask(EMBEDDINGS, kit, input=["a", "c"], prompt="p")
    assert filled["input"] == ["a", "c"]
    assert ask(EMBEDDINGS, kit, input=["a", "b"], prompt="p") == ("REQUEST_INVALID", "prompt")

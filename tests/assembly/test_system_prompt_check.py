"""Checking the system prompt that a kit pins against its prompts, its task and its engine."""

import pytest
from fakes.kits import KIT, kit_of, with_value

from mealkit.assembly.system_prompt_check import system_prompt_problems
from mealkit.recipe.kit import Feature, Task

CHATS = frozenset({Feature.CHAT})
PINNED = {"prompt": "system", "placement": "before"}


def problems(pinned=PINNED, text="Be brief.\n", task=Task.GENERATION, features=CHATS, names=()):
    """Return the place, the message and the hint of each problem."""
    form = with_value(
        KIT, "prompts", {"system": {"file": "prompts/system.jinja", "variables": list(names)}}
    )
    kit = kit_of(with_value(form, "system_prompt", pinned))
    found = system_prompt_problems(
        kit, task, features, {"system": text}, lambda path: "/".join(map(str, path))
    )
    return [(item.where, item.message.partition(": ")[2], item.hint) for item in found]


def test_a_system_prompt_of_the_kits_own_prompts_is_right():
    """With a value for each of its variables."""
    assert problems() == []
    values = {**PINNED, "values": {"manner": "brief"}}
    assert problems(values, "Be {{ manner }}.", names=["manner"]) == []


@pytest.mark.parametrize(
    ("arguments", "where", "said", "hint"),
    [
        ({"pinned": {**PINNED, "prompt": "sytem"}}, "prompt", "has no prompt sytem", "'system'?"),
        ({"pinned": {**PINNED, "prompt": "x"}}, "prompt", "it has system", "prompts/x.jinja"),
        ({"names": ["manner"]}, "values", "manner of the prompt system has no value", "values: {"),
        (
            {"pinned": {**PINNED, "values": {"maner": "a", "manner": "b"}}, "names": ["manner"]},
            "values/maner",
            "no variable maner",
            "did you mean 'manner'?",
        ),
        ({"task": Task.EMBEDDINGS}, "", "no conversations", "delete system_prompt"),
        ({"features": frozenset()}, "", "has no chat", "chat_template"),
        ({"text": " \n"}, "prompt", "is empty with these values", "write its text"),
        ({"text": "{{ 1 // 0 }}"}, "prompt", "cannot be filled in", "correct its template"),
        (
            {
                "text": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}"
            },
            "prompt",
            "too much time",
            "correct its template",
        ),
    ],
)
def test_what_would_never_work_is_reported_with_its_line(arguments, where, said, hint):
    """A wrong name, a missing value, a kit without chat, and a text that cannot be written."""
    ((place, message, advice),) = problems(**arguments)
    assert place == f"system_prompt/{where}".rstrip("/")
    assert said in message
    assert hint in advice


def test_a_template_that_is_none_is_reported_once():
    """By the check of the prompts."""
    assert problems(text="{{") == []

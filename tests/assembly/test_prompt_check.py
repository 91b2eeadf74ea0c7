"""Prompts are checked against what the kit declares, without being filled in."""

import pytest
from fakes.kits import KIT, kit_of, with_value

from mealkit.assembly.prompt_check import MAX_PARTS, prompt_problems


def problems(*prompts):
    """Check prompts, each given as its text and the variables that the kit declares."""
    names = [f"p{number}" for number in range(len(prompts))]
    form = {
        name: {"file": f"prompts/{name}.jinja", "variables": list(variables)}
        for name, (_, *variables) in zip(names, prompts, strict=True)
    }
    texts = {name: text for name, (text, *_) in zip(names, prompts, strict=True)}
    return prompt_problems(kit_of(with_value(KIT, "prompts", form)), texts)


def test_a_prompt_that_takes_what_is_declared_is_right():
    """Each variable once, however often it is taken."""
    assert problems(("{{ a }} {{ a }} {{ b }}", "a", "b"), ("plain",)) == []


@pytest.mark.parametrize(
    ("text", "declared", "message", "hint"),
    [
        ("{{ a }}", (), "uses 'a', which the kit does not declare", "add it to prompts.p0"),
        (
            "plain",
            ("a",),
            "does not use 'a', which the kit declares",
            "remove it from prompts.p0.variables",
        ),
    ],
)
def test_a_variable_on_one_side_alone_is_told(text, declared, message, hint):
    """With the line of the kit that mends it."""
    (found,) = problems((text, *declared))
    assert found.code == "KIT_PROMPT_INVALID"
    assert message in found.message
    assert hint in (found.hint or "")


def test_a_template_that_cannot_be_applied_is_told_with_its_line():
    """In the prompt's own file."""
    (found,) = problems(("one\n{% if %}\n",))
    assert found.where == "prompts/p0.jinja:2"


def test_prompts_of_one_text_are_each_compared_with_their_own_variables():
    """The text is read once, and each declaration is checked."""
    found = problems(("{{ a }}", "a"), ("{{ a }}",))
    assert [item.where for item in found] == ["prompts/p1.jinja"]


def test_some_twenty_problems_are_enough():
    """A kit that is all wrong is not read to its end."""
    assert len(problems(*((f"{{% bad{number} %}}",) for number in range(100)))) == 20


def test_all_prompts_together_have_so_many_parts_at_most():
    """Each alone would be allowed."""
    text = "{{ a }}" * 4000
    count = MAX_PARTS // 4000
    found = problems(*((f"{text}{number}", "a") for number in range(count + 1)))
    assert any("parts together" in item.message for item in found)
    assert problems((text, "a")) == []

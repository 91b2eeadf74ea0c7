"""The template of a prompt: sandboxed, strict, and bounded in what it costs."""

import pytest

from mealkit.errors import LockError, RequestError
from mealkit.runtime.api.chat import CHAT
from mealkit.runtime.api.served_model import ServedModel


@pytest.mark.parametrize(
    "text",
    [
        "{{ name[('_' ~ '_') ~ 'class__'] }}",
        "{{ name | attr('_' ~ '_class__') }}",
        "{{ [name] | map(attribute='__cla' ~ 'ss__') | join }}",
        "{{ ('{0.__cla' ~ 'ss__}').format(name) }}",
        "{{ '{0.__class__}'.format_map({'0': name}) }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ undeclared }}",
        "{% set x = [] %}{{ x.append }}",
        "{% set x = name %}{% set f = x.encode %}{{ f() }}",
        "{{ 1 // 0 }}",
        "{% set f = dict.fromkeys %}{{ f('ab') }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 2 ** 9999 }}",
        "{{ 1 | round(999) }}",
    ],
)
def test_sandbox(offer, ask, text):
    """A template can use only its variables, and does not fail in another way."""
    kit = offer(prompts={"p": (text, ("name",))})
    refused = ask(CHAT, kit, prompt="p", variables={"name": "a"})
    assert refused == ("REQUEST_INVALID", "variables")


def test_variables_are_not_templates(offer, ask):
    """What a caller sends is text, whatever it looks like."""
    kit = offer(prompts={"p": ("{{ name }}", ("name",))})
    text = "{{ 7 * 7 }}{% raw %}<b>&"
    assert ask(CHAT, kit, prompt="p", variables={"name": text})["messages"][0]["content"] == text


@pytest.mark.parametrize(
    "text",
    [
        "{{ name.__class__.__mro__ }}",
        "{{ ''.__class__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ name['__class__'] }}",
        "{% include 'other' %}",
        "{% if false %}{{ name | nothing }}{% endif %}",
        "{{ name | random }}",
        "{{ [name] | map(attribute='__class__') | join }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ name.append }}{{ name.append(1) }}",
        "{{ name.encode() }}",
        "{{ dict.fromkeys('ab') }}",
    ],
)
def test_prompts_that_could_not_be_filled_in(make_api_lock, text):
    """What `mealkit check` refuses in a prompt is refused at the start, not by each request."""
    with pytest.raises(LockError, match="'p' is not a template that can be applied"):
        ServedModel.of(make_api_lock(prompts={"p": (text, ("name",))}))


def test_endless_output(offer):
    """A prompt that grows without end is aborted."""
    text = "{% for i in range(2000) %}{{ name }}{% endfor %}"
    kit = offer(prompts={"p": (text, ("name",))})
    with pytest.raises(RequestError) as caught:
        kit.prompts.fill("p", {"name": "x" * 70_000})
    assert caught.value.problems[0].code == "REQUEST_TOO_LARGE"


def test_lock_with_a_broken_template(make_api_lock):
    """A prompt that is not a template ends the start, not a request."""
    with pytest.raises(LockError, match="'p' is not a template"):
        ServedModel.of(make_api_lock(prompts={"p": ("{{ name", ())}))

"""What chat templates do with system messages, found by trying."""

import pytest

from mealkit.assembly.template_trial import built_in_system, system_fault

TURNS = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BUILT_IN = (
    "{{ bos_token }}{% if messages[0].role != 'system' %}"
    "<|system|>You are Probe.\nYou help.<|end|>{% endif %}" + TURNS
)
REFUSES = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}{% endif %}"
    + TURNS
)
USERS = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
MERGES = (
    "{% if messages[0].role == 'system' %}{% set s = messages[0].content + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set s = '' %}{% endif %}"
    "{% for m in messages %}[INST] {{ (s if loop.first else '') + m.content }} [/INST]{% endfor %}"
)


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        (TURNS, None),
        (BUILT_IN, None),
        (MERGES, None),
        (USERS, "does not write system messages"),
        (REFUSES, "no system here"),
        ("{{", None),
        ("{{ raise_exception('never') }}", None),
        ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", None),
    ],
)
def test_what_becomes_of_a_system_message(template, fault):
    """It is written, lost or refused; a template that fails anyway says nothing about it."""
    found = system_fault(template)
    assert found is None if fault is None else fault in found


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (BUILT_IN, "You are Probe.\nYou help."),
        # Only a text with which a conversation is the same counts.
        (BUILT_IN.replace("{{ m.content }}", "{{ m.content | upper }}"), None),
        (BUILT_IN.replace("You are Probe.\nYou help.", "{{ messages | length }}"), None),
        (TURNS, None),
        (MERGES, None),
        (USERS, None),
        (REFUSES, None),
        ("{{", None),
        (f"<|system|>{'x' * 70_000}<|end|>{TURNS}", None),
    ],
)
def test_the_text_that_a_template_has_built_in(template, text):
    """The text of a system message with which a conversation reads as it does without one."""
    assert built_in_system(template) == text

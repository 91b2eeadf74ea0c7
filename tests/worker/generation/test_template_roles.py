"""No message gets lost: a template that would not write it gets it in another form, or not at all."""

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.generation.chat_template import ChatTemplate
from mealkit.worker.generation_values import PromptEnd

# Writes the name of any role.
ANY = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
# Writes nothing for others than these three.
THREE = """
{%- for m in messages %}
{%- if m.role in ('system', 'user', 'assistant') %}<{{ m.role }}>{{ m.content }}
{% endif %}
{%- endfor %}"""
# Raises for others than these three, and for a system message that is not the first.
STRICT = """
{%- for m in messages %}
{%- if m.role == 'system' and not loop.first %}{{ raise_exception('system must be first') }}{% endif %}
{%- if m.role not in ('system', 'user', 'assistant') %}{{ raise_exception('unknown role') }}{% endif %}
<{{ m.role }}>{{ m.content + '\\n' }}
{%- endfor %}"""
# Looks for a system message only at the beginning, and drops others.
FIRST = """
{%- if messages[0].role == 'system' %}<system>{{ messages[0].content }}
{% endif %}
{%- for m in messages if m.role in ('user', 'assistant') %}<{{ m.role }}>{{ m.content }}
{% endfor %}"""
# Has a place for a developer, as gpt-oss has.
DEVELOPER = """
{%- for m in messages %}<{{ 'instructions' if m.role == 'developer' else m.role }}>{{ m.content }}
{% endfor %}"""
# Knows only the two who talk.
TWO = """
{%- for m in messages if m.role in ('user', 'assistant') %}<{{ m.role }}>{{ m.content }}
{% endfor %}"""


def said(source, *pairs, **options):
    messages = [{"role": role, "content": content} for role, content in pairs]
    text = ChatTemplate(source, {}, "t").render(messages, **options)
    return [line for line in text.split("\n") if line]


@pytest.mark.parametrize("source", [ANY, THREE, STRICT, FIRST])
def test_a_developer_is_the_system_of_a_template_that_does_not_know_it(source):
    """Whether the template would drop the message, refuse it, or write the unknown role."""
    expected = ["<system>terse", "<user>hi"]
    for role in ("developer", "system"):
        assert said(source, (role, "terse"), ("user", "hi")) == expected


def test_a_developer_stays_one_where_the_template_knows_it():
    """What the model was trained with is kept."""
    assert said(DEVELOPER, ("developer", "terse"), ("user", "hi")) == [
        "<instructions>terse",
        "<user>hi",
    ]


LATER = (("system", "one"), ("user", "hi"), ("developer", "two"), ("user", "and?"))


@pytest.mark.parametrize("source", [STRICT, FIRST])
def test_later_instructions_come_first_where_they_have_to(source):
    """If the template refuses or drops a later system message, all of them are joined in one."""
    assert said(source, *LATER) == ["<system>one", "two", "<user>hi", "<user>and?"]
    assert said(source, *LATER[1:]) == ["<system>two", "<user>hi", "<user>and?"]


@pytest.mark.parametrize("source", [ANY, THREE])
def test_later_instructions_stay_where_they_may(source):
    """A template that writes them at their place gets them there."""
    assert said(source, *LATER) == ["<system>one", "<user>hi", "<system>two", "<user>and?"]


def test_a_template_that_cannot_be_asked_gets_the_messages_as_they_are():
    """What it refuses is the caller's answer, in the template's words."""
    source = STRICT + "{{ raise_exception('never') }}"
    with pytest.raises(MealkitError, match="system must be first") as caught:
        said(source, LATER[0], LATER[1], ("system", "two"))
    assert caught.value.problems[0].code == "REQUEST_INVALID"


@pytest.mark.parametrize(("source", "role"), [(TWO, "system"), (TWO, "developer"), (THREE, "tool")])
def test_a_message_that_would_be_lost_is_refused(source, role):
    """Instructions, or a tool's result, that the model would never see are not dropped silently."""
    with pytest.raises(MealkitError, match="writes nothing") as caught:
        said(source, (role, "x"), ("user", "hi"))
    found = caught.value.problems[0]
    assert (found.code, found.where) == ("REQUEST_UNSUPPORTED", "messages")
    assert said(TWO, ("user", "hi"), ("assistant", "a")) == ["<user>hi", "<assistant>a"]


def test_results_that_a_template_writes_only_with_tools():
    """They are not lost, because the tools are there."""
    source = ANY.replace("{{ m.content }}", "{{ m.content if tools or m.role != 'tool' else '' }}")
    assert said(source, ("user", "hi"), ("tool", "42"), tools=[{}]) == ["<user>hi", "<tool>42"]


OPENING = ANY + "{% if add_generation_prompt %}<assistant>{% endif %}"
TALK = (("user", "hi"), ("assistant", "Hel lo "))


@pytest.mark.parametrize(
    ("end", "last"),
    [
        (PromptEnd.ANSWER, ["<assistant>Hel lo ", "<assistant>"]),
        (PromptEnd.MESSAGES, ["<assistant>Hel lo "]),
        (PromptEnd.WITHIN_LAST, ["<assistant>Hel lo "]),
    ],
)
def test_where_a_prompt_ends(end, last):
    """At an answer of its own, after the messages, or within the last one."""
    assert said(OPENING, *TALK, end=end) == ["<user>hi", *last]


def test_a_continued_message_has_no_end():
    """Nothing of what the template puts after a message, and the spaces at the text's end."""
    template = ChatTemplate(
        "{% for m in messages %}{{ m.content | trim }}<end>{% endfor %}", {}, "t"
    )
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a "}]
    assert template.render(messages, end=PromptEnd.WITHIN_LAST) == "a<end>a "
    with pytest.raises(MealkitError, match="continued"):
        ChatTemplate("{{ messages[0].content }}", {}, "t").render(
            messages, end=PromptEnd.WITHIN_LAST
        )

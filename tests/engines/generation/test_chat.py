"""Chat templates do what transformers' do, and nothing else."""

import pytest

from mealkit.engines.generation.chat import ChatTemplate
from mealkit.errors import MealkitError

MESSAGES = [{"role": "user", "content": "hi <b>"}]


def render(source, messages=MESSAGES, tools=None, **special):
    return ChatTemplate(source, special, "a.jinja").render(messages, tools)


def failing(source, messages=MESSAGES):
    with pytest.raises(MealkitError) as caught:
        render(source, messages)
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ bos_token }}{{ messages[0].content }}", "<s>hi <b>"),
        ("{% for m in messages %}\n  {{ m['role'] }}\n{% endfor %}\n", "  user\n"),
        ("{% if add_generation_prompt %}A:{% endif %}", "A:"),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "hi <b>"}'),
        ("{{ 'ä' | tojson(indent=2) }}", '"ä"'),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}x{{ 1 }}{% endgeneration %}y", "x1y"),
        ("{{ missing }}{{ tools is none }}{{ documents is none }}", "TrueTrue"),
        ("{% set ns = namespace(n=1) %}{% set ns.n = 2 %}{{ ns.n }}", "2"),
        ("{{ messages[0].content.strip() | upper }}", "HI <B>"),
        ("{% if strftime_now is defined %}now{% else %}fixed{% endif %}", "fixed"),
    ],
)
def test_templates_find_what_they_expect(source, text):
    """Trimmed blocks, loop controls, JSON that is not escaped, and lenient missing names."""
    assert render(source, bos_token="<s>") == text


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ namespace.__init__.__globals__['__builtins__'] }}",
        "{{ range(10000000) | list }}",
        "{% include 'other' %}",
        "{% import 'os' as os %}",
        "{{ strftime_now('%Y') }}",
        "{{ lipsum() }}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content + 1 }}",
    ],
)
def test_what_leaves_the_sandbox_fails(source):
    """Neither Python's insides nor a clock nor chance can be reached; it is the kit's fault."""
    found = failing(source)
    assert (found.code, found.where, found.owner.value) == (
        "ENGINE_ANSWER",
        "a.jinja",
        "kit-author",
    )


@pytest.mark.parametrize(
    "source", ["{% if %}", "{{ x | random }}", "{{ x | nothing }}", "{% a %}", "{{" * 5]
)
def test_what_does_not_compile_does_not_start(source):
    """A broken template is found when the model is loaded."""
    with pytest.raises(MealkitError, match="ENGINE_START"):
        ChatTemplate(source, {}, "a.jinja")


def test_what_a_template_refuses_is_the_callers():
    """raise_exception is how a template says that messages are not as it wants them."""
    found = failing("{{ raise_exception('roles must alternate') }}")
    assert (found.code, found.where) == ("REQUEST_INVALID", "messages")
    assert "roles must alternate" in found.message


def test_tool_calls_are_given_as_objects():
    """The arguments of a call are what templates expect: a mapping, not JSON in a string."""
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    source = "{{ messages[0].tool_calls[0].function.arguments.x }}{{ messages[0].content }}"
    assert render(source, [{"role": "assistant", "tool_calls": [call]}]) == "1"
    call = {"type": "function", "function": {"name": "f", "arguments": "{"}}
    found = failing(source, [{"role": "assistant", "tool_calls": [call]}])
    assert (found.code, found.where) == ("REQUEST_INVALID", "messages")


def test_a_template_says_whether_it_takes_tools():
    """It is found in the template, not tried."""
    assert ChatTemplate("{% if tools %}{{ tools }}{% endif %}", {}, "t").takes_tools
    assert not ChatTemplate("{{ messages }}tools", {}, "t").takes_tools


def test_messages_are_left_as_they_were():
    """Two renderings of the same messages are the same."""
    template = ChatTemplate("{{ messages[0].pop('content') }}", {}, "t")
    message = {"role": "user", "content": "hi"}
    with pytest.raises(MealkitError):
        template.render([message])
    assert message == {"role": "user", "content": "hi"}

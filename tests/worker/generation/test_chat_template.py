"""Chat templates do what transformers' do, and nothing else."""

import json

import pytest

from mealkit.errors import MealkitError
from mealkit.worker.generation.chat_template import ChatTemplate

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
    call = {"type": "function", "function": {"name": "f", "arguments": "[" * 100_000}}
    found = failing(source, [{"role": "assistant", "tool_calls": [call]}])
    assert found.code == "REQUEST_INVALID"
    assert "nests deeper" in found.message
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


# What the templates of published models are made of, in one: macros that call themselves, a
# namespace, slices, tools as JSON, texts that are cut up, loops over mappings, and refusals.
INVOLVED = """
{%- macro described(schema, depth=0) -%}
    {%- if schema.type is defined and schema.type == 'object' -%}
        {%- for name, inner in (schema.properties or {})|dictsort -%}
            {{- '\\n' ~ '  ' * depth ~ '- ' ~ name ~ ': ' ~ described(inner, depth + 1) -}}
        {%- endfor -%}
    {%- elif schema is mapping -%}
        {{- schema.get('type', 'any')|upper -}}
        {%- if schema.enum %} ({{ schema.enum|map('tojson')|join(' | ') }}){% endif -%}
    {%- endif -%}
{%- endmacro -%}
{{- bos_token -}}
{%- if not date_string is defined -%}
    {%- if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') -%}
    {%- else %}{% set date_string = '26 Jul 2024' %}{% endif -%}
{%- endif -%}
{%- if messages[0]['role'] == 'system' -%}
    {%- set system = messages[0]['content']|trim %}{% set messages = messages[1:] -%}
{%- else -%}
    {%- set system = '' -%}
{%- endif -%}
{{- '<|system|>\\n' + date_string + '\\n' + system -}}
{%- if tools -%}
    {%- for tool in tools -%}
        {%- set function = tool.function if tool.function is defined else tool -%}
        {{- '\\n' + function.name + described(function.parameters, 1) + '\\n' -}}
        {{- tool|tojson(indent=4) -}}
    {%- endfor -%}
{%- endif -%}
{%- set ns = namespace(last=messages|length - 1, seen=false) -%}
{%- for message in messages[::-1] -%}
    {%- set index = (messages|length - 1) - loop.index0 -%}
    {%- if not ns.seen and message.role == 'user' and not message.content.startswith('<tool>') -%}
        {%- set ns.last = index %}{% set ns.seen = true -%}
    {%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
    {%- if message.role not in ['user', 'assistant', 'tool'] -%}
        {{- raise_exception('unknown role ' + message.role) -}}
    {%- endif -%}
    {%- set content = message.content if message.content is string else '' -%}
    {%- if '</think>' in content -%}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1] -%}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
        {%- if loop.index0 > ns.last and thought %}{{ '<' + thought.strip() + '>' }}{% endif -%}
    {%- endif -%}
    {{- '<|' ~ message.role ~ '|>' -}}
    {% generation %}{{ content|replace('\\r', '') }}{% endgeneration %}
    {%- for call in message.tool_calls or [] -%}
        {%- for key, value in call.function.arguments|items -%}
            {{- '[%s=%s]' % (key, value if value is string else value|tojson(ensure_ascii=true)) -}}
        {%- endfor -%}
        {%- if not loop.last %},{% endif -%}
    {%- endfor -%}
    {%- if loop.last or loop.nextitem.role != message.role %}{{ eos_token }}{% endif -%}
{%- endfor -%}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif -%}
"""
CONVERSATION = [
    {"role": "system", "content": " be kind "},
    {"role": "user", "content": "weather?"},
    {
        "role": "assistant",
        "content": "<think>\nhm\n</think>\n\nasking",
        "tool_calls": [
            {"type": "function", "function": {"name": "f", "arguments": '{"x": "y", "n": [1]}'}}
        ],
    },
    {"role": "tool", "content": "<tool>rain"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {
                "type": "object",
                "properties": {
                    "x": {"type": "string", "enum": ["y", "z"]},
                    "deep": {"type": "object", "properties": {"n": {"type": "array"}}},
                },
            },
        },
    }
]


def test_templates_of_published_models_are_rendered():
    """Everything that they are made of gives what transformers' environment gives."""
    text = render(INVOLVED, CONVERSATION, TOOLS, bos_token="<s>", eos_token="</s>")
    json_of_tool = json.dumps(TOOLS[0], indent=4)
    assert text == (
        "<s><|system|>\n26 Jul 2024\nbe kind\nf\n  - deep: \n    - n: ARRAY"
        '\n  - x: STRING ("y" | "z")\n'
        + json_of_tool
        + "<|user|>weather?</s><|assistant|><hm>asking[x=y][n=[1]]</s><|tool|><tool>rain</s>"
        "<|assistant|>"
    ).replace("<|assistant|><hm>", "<hm><|assistant|>")


def test_a_long_conversation_is_rendered():
    """Thousands of messages, and a text of a million characters, are within the budget."""
    many = [{"role": "user", "content": f"question {number}"} for number in range(3_000)]
    assert "question 2999" in render(INVOLVED, many)
    assert len(render(INVOLVED, [{"role": "user", "content": "word " * 300_000}])) > 1_500_000


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 4000000000 }}",
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% set n = namespace(x='ab') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(50) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
            "{{ raise_exception(n.x) }}"
        ),
        "{{ messages | tojson(indent=999999999) }}",
        "{{ range(100000) | list | tojson(separators=('a' * 9999, ':')) }}",
    ],
    ids=["repetition", "loops", "text", "refusal", "indent", "separators"],
)
def test_a_template_that_costs_too_much_is_the_authors(source):
    """It is aborted before time or memory run out; the canary gets an answer, too."""
    found = failing(source)
    assert (found.code, found.where, found.owner.value) == (
        "TEMPLATE_COST",
        "a.jinja",
        "kit-author",
    )


def test_messages_that_make_a_template_costly_are_the_callers():
    """With long messages it is the caller who can ask less."""
    found = failing(
        "{{ messages[0].content | wordwrap }}", [{"role": "user", "content": "ab " * 999_999}]
    )
    assert (found.code, found.where) == ("REQUEST_TOO_LARGE", "messages")


@pytest.mark.parametrize(
    "source",
    ["{{ 9 ** 9 ** 9 }}", "{% if 'a' * 4000000000 %}{% endif %}", "{{ 'a' | center(10 ** 10) }}"],
)
def test_compiling_a_template_computes_nothing(source):
    """Its constants are not computed before it is rendered."""
    ChatTemplate(source, {}, "a.jinja")


def test_autoescape_is_refused():
    """Texts for a model are not HTML, and what decides about it would be computed."""
    with pytest.raises(MealkitError, match="ENGINE_START"):
        ChatTemplate("{% autoescape 'a' * 4000000000 %}{% endautoescape %}", {}, "a.jinja")

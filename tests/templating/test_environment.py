"""Rendering is charged step by step, and gives what jinja2 gives."""

import jinja2
import jinja2.sandbox
import pytest

from mealkit.templating.meter import CostMeter, TooCostlyError

PLAIN = jinja2.sandbox.ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True
)
TEXT = 'The quick, brown <fox>\n  jumps "over"\r\nthe lazy dog\'s tail. Žluťoučký \U0001f600\n'


@pytest.mark.parametrize(
    "source",
    [
        "{{ text }}",
        "query: {{ text }}\n",
        "{{ text | trim }}|{{ text | upper }}|{{ text | lower }}|{{ text | title }}",
        "{{ text | capitalize }}|{{ text | replace('o', '0') }}|{{ text | length }}",
        "{{ text | tojson }}|{{ text | tojson(indent=2) }}|{{ {'b': [1], 'a': text} | tojson }}",
        "{{ text | default('x') }}|{{ '' | default('x', true) }}|{{ text | truncate(9) }}",
        "{{ text | wordwrap(12) }}|{{ text | wordcount }}|{{ text | indent(2, true) }}",
        "{{ text | center(200) }}|{{ text | urlencode }}|{{ text | striptags }}|{{ text | e }}",
        "{{ text.split() | join(', ') }}|{{ text.split('o', 1) }}|{{ text.splitlines() }}",
        "{{ text.strip().startswith('The') }}|{{ text.find('fox') }}|{{ text[4:9] }}|{{ text[::-1] }}",
        "{{ '%s and %05d' % (text, 7) }}|{{ '%(a)s' | format(a=text) }}|{{ '{0!r:>9} {x}'.format(1, x=2) }}",
        (
            "{% for line in text.splitlines() if line %}{{ loop.index }}/{{ loop.length }}: {{ line }}\n"
            "{% if loop.last %}end{% endif %}{% else %}none{% endfor %}"
        ),
        (
            "{% for w in text.split() %}{{ loop.cycle('a', 'b') }}{{ loop.previtem | default('-') }}"
            "{{ loop.changed(w | length) }}{% endfor %}"
        ),
        "{% if text and 'fox' in text and not other %}yes{% elif other %}no{% else %}x{% endif %}",
        "{% set n = namespace(i=0) %}{% for c in text %}{% set n.i = n.i + 1 %}{% endfor %}{{ n.i }}",
        "{% macro q(t, m='\"') %}{{ m }}{{ t }}{{ m }}{% endmacro %}{{ q(text) }}{{ q(1, m='-') }}",
        "{% macro w() %}<{{ caller(3) }}>{% endmacro %}{% call(n) w() %}{{ text * n }}{% endcall %}",
        "{% set x %}a{{ text }}{% endset %}{{ x | upper }}{% filter lower %}ABC{{ text }}{% endfilter %}",
        "{{ [3, 1, 2] | sort | join }}|{{ [1, 2, 3] | sum }}|{{ [1, 2] | max }}|{{ 'cab' | list }}",
        "{{ ['a', 'B'] | map('upper') | list }}|{{ [1, 2, 3, 4] | select('odd') | list }}",
        "{{ [{'k': 1}, {'k': 2}] | map(attribute='k') | join('-') }}",
        "{{ [{'k': 1}, {'k': 2}] | selectattr('k', 'gt', 1) | list }}|{{ {'b': 1, 'a': 2} | dictsort }}",
        (
            "{% for g in [{'k': 1}, {'k': 2}] | groupby('k') %}{{ g.grouper }}{{ g.list }}{% endfor %}"
            "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}"
        ),
        "{{ [1, 2, 3, 4, 5] | batch(2, 'x') | list }}|{{ [1, 2, 3] | slice(2) | list }}",
        "{{ [1, 1, 2] | unique | list }}|{{ 'abc' | reverse }}|{{ [1, 2] | first }}|{{ [1, 2] | last }}",
        "{{ 7 // 2 }}{{ 7 % 2 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ -7 }}{{ 1 < 2 < 3 }}{{ 1 == 1.0 }}{{ 3 in [3] }}",
        "{{ 2.567 | round(1) }}|{{ '3' | int + 1 }}|{{ '2.5' | float }}|{{ 1024 | filesizeformat }}",
        "{{ text is string }}{{ 1 is number }}{{ [] is sequence }}{{ text is defined }}{{ 3 is odd }}",
        "{{ ('<b>' | safe) + text }}|{{ '<i>' ~ ('<b>' | safe) }}|{{ {'a': 1} | xmlattr }}",
        "{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}",
        "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{% set j = joiner() %}{{ j() }}{{ j() }}",
        "{% with a = 1, b = text %}{{ a }}{{ b }}{% endwith %}{{ dict(a=1) }}{{ range(2, 9, 3) | list }}",
        "{{ text ~ 1 ~ none ~ [1] }}{{ [1] + [2] }}{{ 'ab' * 3 }}{{ (1, 2)[0] }}{{ {'a': {'b': 1}}.a.b }}",
    ],
)
def test_prompts_give_what_jinja_gives(render, source):
    """Every construct and filter that prompts are made of gives jinja2's own text."""
    values = {"text": TEXT, "other": ""}
    assert render(source, **values) == PLAIN.from_string(source).render(**values)


# Each is some work for a text of a million characters, or much more than it looks like.
COSTLY = [
    "{{ text | wordwrap }}",
    "{{ text | wordwrap(1) }}",
    "{{ text | title }}",
    "{{ text | urlencode }}",
    "{{ text * 100 }}",
    "{{ ('<' ~ text) * 9 | striptags }}",
    "{{ (text | list) | sort | join }}",
    "{{ text | map('upper') | list }}",
    "{{ text | reject('string') | list }}",
    "{{ text | select | list }}",
    "{{ text | batch(1) | list }}",
    "{{ text | replace('', 'xx') }}",
    "{{ text | replace('a', text) }}",
    "{{ text.replace('a', text) }}",
    "{{ text.split('a') | length }}",
    "{{ text.join(text) }}",
    "{{ text | join(text) }}",
    "{{ text.rfind(text[:1000] ~ 'b') }}",
    "{{ text.strip(text[:100000]) }}",
    "{{ text.title() }}",
    "{{ 'a' | center(4000000000) }}",
    "{{ 'a'.center(4000000000) }}",
    "{{ 'a'.zfill(4000000000) }}",
    "{{ '\\t'.expandtabs(4000000000) }}",
    "{{ 'a' | indent(4000000000, true) }}",
    "{{ ('a\\n' * 9000) | indent(9000) }}",
    "{{ '\\n' * 99 | indent(text) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%.999999999f' % 1 }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ ('%s' * 1000) % ((text,) * 1000) }}",
    "{{ ('{0}' * 1000).format(text) }}",
    "{{ [0] * 4000000000 }}",
    "{{ [1] | batch(4000000000, 1) | list }}",
    "{{ [1] | slice(4000000000) | list }}",
    "{{ [1] | tojson(indent=999999999) }}",
    "{% for a in text %}{{ a }}{% endfor %}",
    "{% for a in text if false %}{% endfor %}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% for a in range(99999) %}{{ text }}{% endfor %}",
    "{% for a in range(99999) %}{% set x = text[1:] %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = text == text ~ 'a' %}{% endfor %}",
    "{% for a in range(99999) %}{% set x = 'b' in text %}{% endfor %}",
    "{% for a in range(99999) %}{% set x %}{{ text }}{% endset %}{% endfor %}",
    "{% for a in range(99999) %}{{ loop.changed(text ~ a) }}{% endfor %}",
    "{% macro m(n) %}{{ m(n - 1) if n }}{{ m(n - 1) if n }}{% endmacro %}{{ m(50) }}",
    "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 20
    + "x"
    + "{% endcall %}" * 20,
    "{% for x in [[]] recursive %}{{ loop([[]] * 99999) }}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for i in range(64) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='ab') %}{% for i in range(64) %}{% set n.x = n.x + n.x %}{% endfor %}",
    *(
        "{% set n = namespace(x=['ab']) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}"
        f"{{% endfor %}}{{{{ {end} }}}}"
        for end in (
            *("n.x", "n.x | string", "n.x ~ ''", "n.x | tojson", "n.x | join", "'%s' % [n.x]"),
            *("'{}'.format(n.x)", "n.x == [n.x, 1]", "[n.x] | sort", "[n.x] | sum(start=[])"),
            *("n", "[n.x].index(1)", "n.x in [[n.x]]", "[n.x] | unique | list", "n.x | e"),
            *("n.x | urlencode", "n.x | trim", "n.x | upper", "{n: 1}", "dict([n.x])"),
        )
    ),
    (
        "{% set n = namespace(x=('ab',)) %}{% for i in range(60) %}{% set n.x = (n.x, n.x) %}"
        "{% endfor %}{{ {}[n.x] }}"
    ),
]


@pytest.mark.parametrize("source", COSTLY)
def test_what_costs_too_much_is_given_up_before_it_is_done(limited, source):
    """No operator, method, filter, loop or macro gets past the budget, in time or in memory."""
    limited(
        f"""
from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter, TooCostlyError
from mealkit.templating.prompts import prompt_environment, read_prompt
template = BoundedTemplate(prompt_environment(), read_prompt({source!r}))
try:
    template.render({{"text": "a" * 1_000_000}}, CostMeter(500_000, 64 << 20))
except (TooCostlyError, ValueError, TypeError, RecursionError):
    pass
else:
    raise SystemExit("it was rendered")
""",
        megabytes=400,
        seconds=3,
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ 9 ** 9999 }}",
        "{{ 2 ** 4000 * 2 ** 4000 }}",
        "{{ ('f' * 9000) | int(base=16) }}",
        "{{ 1 | round(1000) }}",
        "{{ '%*d' % (999, 1) }}",
        "{{ '{:{}}'.format(1, 999) }}",
        (
            "{% set n = namespace(x=()) %}{% for i in range(99) %}{% set n.x = (n.x,) %}{% endfor %}"
            "{{ {n.x: 1} }}"
        ),
    ],
)
def test_numbers_widths_and_nesting_stay_small(render, source):
    """What could not be bounded by its arguments alone is refused."""
    with pytest.raises((OverflowError, ValueError)):
        render(source)


def test_a_budget_is_used_up_once(render):
    """What was spent stays spent, and the same template costs the same each time."""
    meter = CostMeter(100_000, 1 << 20)
    render("{{ text | upper }}", meter, text="abc")
    once = 100_000 - meter.work
    assert once > 0
    render("{{ text | upper }}", meter, text="abc")
    assert 100_000 - meter.work == 2 * once
    with pytest.raises(TooCostlyError):
        render("{{ text | upper }}", CostMeter(once - 1, 1 << 20), text="abc")


@pytest.mark.parametrize(
    "source",
    [
        "{{ '{0.__class__}'.format(text) }}",
        "{{ '{a.__class__}'.format_map({'a': text}) }}",
        "{{ ('{0.__class__}' | safe).format(text) }}",
        "{{ '{0[__class__]}'.format(text) }}",
        "{{ text | attr('__cla' ~ 'ss__') }}",
        "{{ text['__cla' ~ 'ss__'] }}",
        "{{ [text] | map(attribute='__class__') | join }}",
        "{{ [text] | sum(attribute='__class__') }}",
        "{% for g in [text, text] | groupby('__class__') %}{{ g.grouper }}{% endfor %}",
        "{{ ([text] | map('upper')).gi_frame }}",
        "{{ (text | map('upper')).gi_code }}",
        "{{ text.encode() }}",
        "{{ text.translate({}) }}",
        "{{ (1).to_bytes(4000000000) }}",
        "{{ dict.fromkeys('ab') }}",
        "{{ range.start }}{{ range(1).index(0) }}",
        "{{ namespace.mro() }}",
        "{{ [].append(1) }}",
        "{{ {}.update(a=1) }}",
        "{{ {'a': 1}.pop('a') }}",
        "{% macro m() %}{% endmacro %}{{ m.func_globals }}",
        "{{ cycler(1).items.append(2) }}",
        "{{ joiner('a').sep.x }}",
    ],
)
def test_only_what_has_a_known_cost_can_be_reached(render, source):
    """Neither attributes of Python's own, nor methods that are not listed, nor what changes a value."""
    with pytest.raises((jinja2.TemplateError, TypeError)):
        render(source, text="a")

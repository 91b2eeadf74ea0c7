"""Rendering is charged step by step, and gives what jinja2 gives."""

import jinja2
import pytest

from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter, TooCostlyError
from mealkit.templating.parsing import parse
from mealkit.templating.prompts import prompt_environment


@pytest.mark.parametrize(
    "source",
    [
        "{{ text }}",
        "query: {{ text }}\n",
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
        (
            "{% for g in [{'k': 1}, {'k': 2}] | groupby('k') %}{{ g.grouper }}{{ g.list }}{% endfor %}"
            "{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}"
        ),
        "{% for x in [[1, [2]], [3]] recursive %}{{ loop(x) if x is sequence else x }}{% endfor %}",
        "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{% set j = joiner() %}{{ j() }}{{ j() }}",
        "{% with a = 1, b = text %}{{ a }}{{ b }}{% endwith %}{{ dict(a=1) }}{{ range(2, 9, 3) | list }}",
    ],
)
def test_prompts_give_what_jinja_gives(same_as_jinja, source):
    """Every construct that prompts are made of gives jinja2's own text."""
    same_as_jinja(source)


@pytest.mark.parametrize(
    "source",
    [
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
    ],
)
def test_what_costs_too_much_is_given_up_before_it_is_done(given_up, source):
    """No loop, macro or assignment exceeds the budget, in time or in memory."""
    given_up(source)


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
def test_only_what_has_a_known_cost_can_be_reached(source):
    """Neither attributes of Python's own, nor methods that are not listed, nor what changes a value."""
    environment = prompt_environment()
    # Parsed without the rules of prompts, which refuse most of these before they get here.
    template = BoundedTemplate(environment, parse(environment, source))
    with pytest.raises((jinja2.TemplateError, TypeError)):
        template.render({"text": "a"}, CostMeter(500_000, 64 << 20))

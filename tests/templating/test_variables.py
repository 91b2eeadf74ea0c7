"""The names that a template takes, found without running any of it."""

import jinja2
import jinja2.meta
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mealkit.templating.parsing import parse
from mealkit.templating.prompts import prompt_environment, variables_of
from mealkit.templating.variables import names_taken

PLAIN = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701

SAME = [
    "",
    "text",
    "{{ a }}{{ a.b }}{{ a['b'] }}{{ a[b] }}{{ a | default(c) }}",
    "{{ a if b else c }}{{ a is defined }}{{ a is divisibleby(b) }}",
    "{% set a = b %}{{ a }}",
    "{{ a }}{% set a = b %}{{ a }}",
    "{% set a, b = c %}{{ a }}{{ b }}",
    "{% set a %}{{ b }}{% endset %}{{ a }}",
    "{% set a | upper %}{{ b }}{% set c = 1 %}{% endset %}{{ c }}",
    "{% for a in b %}{{ a }}{{ loop.index }}{% endfor %}{{ loop }}",
    "{% for a in b %}{% set c = a %}{% endfor %}{{ c }}",
    "{% for a in a %}{{ a }}{% endfor %}",
    "{% for a, b in c %}{{ a }}{{ b }}{% else %}{{ a }}{% endfor %}",
    "{% for a in b if a.c and d %}{{ a }}{% endfor %}",
    "{% for a in b recursive %}{{ loop(a) }}{% endfor %}",
    "{% for a in b %}{% for c in a %}{{ loop.index }}{{ d }}{% endfor %}{% endfor %}",
    "{% for a in b %}{{ c }}{% endfor %}{% set c = 1 %}",
    "{% if a %}{{ b }}{% elif c %}{{ d }}{% else %}{{ e }}{% endif %}",
    "{% if a %}{% set b = 1 %}{% endif %}{{ b }}",
    "{% set b = 2 %}{% if a %}{% set b = 1 %}{% endif %}{{ b }}",
    "{% macro m(a, b=c) %}{{ a }}{{ b }}{{ d }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(e) }}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}{{ a }}{% endcall %}",
    "{% macro m() %}{{ caller(1) }}{% endmacro %}{% call(a) m() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}",
    "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "{{ caller }}{{ varargs }}{{ kwargs }}",
    "{% filter replace(a, b) %}{{ c }}{% set d = 1 %}{% endfilter %}{{ d }}",
    "{% with a = b, c = a %}{{ a }}{{ c }}{% endwith %}{{ a }}",
    "{% set n = namespace(a=b) %}{% set n.a = c %}{{ n.a }}",
    "{% set n.a = c %}",
    "{{ range(a) }}{{ dict(b=c) }}{{ cycler(d) }}{{ joiner(e) }}{{ namespace() }}",
    "{{ [a, {b: c}, (d,)] }}{{ e[f:g:h] }}{{ i ~ j }}{{ k < l in m }}{{ -n }}{{ not o }}",
    "{% raw %}{{ a }}{% endraw %}{# {{ b }} #}",
    "{{ true }}{{ none }}{{ False }}",
]


@pytest.mark.parametrize("source", SAME)
def test_names_are_those_that_jinja_finds(source):
    """In every kind of scope, the names are those that jinja2's own code generator finds."""
    tree = parse(prompt_environment(), source)
    found = jinja2.meta.find_undeclared_variables(PLAIN.parse(source))
    assert names_taken(tree, prompt_environment().globals) == found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("{% if a %}{% set b = 1 %}{% else %}{% set b = 2 %}{% endif %}{{ b }}", {"a"}),
        ("{% if a %}{% set b = 1 %}{{ b }}{% endif %}", {"a"}),
        ("{% if a %}{% set b = 1 %}{% elif c %}{{ b }}{% endif %}", {"a", "b", "c"}),
        (
            "{% if a %}{% set b = 1 %}{% elif c %}{% set b = 3 %}{% else %}{% endif %}{{ b }}",
            {"a", "b", "c"},
        ),
    ],
)
def test_names_that_every_way_sets_are_not_taken(source, names):
    """A name is taken only if there is a way to its use on which the template has not set it."""
    assert variables_of(source) == names


_NAMES = st.sampled_from("abcd")
_EXPRESSIONS = st.one_of(
    _NAMES,
    st.builds("{}.x".format, _NAMES),
    st.builds("({} + {})".format, _NAMES, _NAMES),
    st.builds("{}|default({})".format, _NAMES, _NAMES),
)
_SOURCES = st.recursive(
    st.one_of(
        st.builds("{{{{ {} }}}}".format, _EXPRESSIONS),
        st.builds("{{% set {} = {} %}}".format, _NAMES, _EXPRESSIONS),
    ),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% for {} in {} %}}{}{{% endfor %}}".format, _NAMES, _EXPRESSIONS, inner),
        st.builds("{{% if {} %}}{}{{% endif %}}".format, _EXPRESSIONS, inner),
        st.builds("{{% with {} = {} %}}{}{{% endwith %}}".format, _NAMES, _EXPRESSIONS, inner),
        st.builds("{{% macro {}({}) %}}{}{{% endmacro %}}".format, _NAMES, _NAMES, inner),
        st.builds("{{% set {} %}}{}{{% endset %}}".format, _NAMES, inner),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(source=_SOURCES)
def test_names_of_any_template(source):
    """Nothing is found that jinja2 does not find, and all of it where nothing is set by condition."""
    found = names_taken(parse(prompt_environment(), source))
    expected = jinja2.meta.find_undeclared_variables(PLAIN.parse(source))
    assert found <= expected
    if "{% if" not in source:
        assert found == expected

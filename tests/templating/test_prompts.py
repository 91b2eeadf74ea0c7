"""What a prompt may be made of is decided once, for `mealkit check` and for the gateway."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import SecurityError

from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.meter import CostMeter
from mealkit.templating.parsing import TemplateRefusedError
from mealkit.templating.prompts import prompt_environment, read_prompt


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{% include 'x' %}", "no include"),
        ("{% import 'x' as y %}", "no import"),
        ("{% from 'x' import y %}", "no import"),
        ("{% extends 'x' %}", "no extends"),
        ("{% block x %}{% endblock %}", "no block"),
        ("{{ self }}", "'self'"),
        ("{{ super() }}", "'super'"),
        ("{% autoescape true %}{% endautoescape %}", "autoescape"),
        ("{{ x | random }}", "the filter 'random' does not exist"),
        ("{{ x | urlize }}", "the filter 'urlize' does not exist"),
        ("{{ x | pprint }}", "the filter 'pprint' does not exist"),
        ("{% if x %}{{ x | nothing }}{% endif %}", "the filter 'nothing' does not exist"),
        ("{{ x is nothing }}", "the test 'nothing' does not exist"),
        ("{{ x.__class__ }}", "'__class__'"),
        ("{{ x._a }}", "'_a'"),
        ("{{ x['__class__'] }}", "'__class__'"),
        ("{{ f(a=1, a=2) }}", "appears twice"),
        ("{% macro m(a, a) %}{% endmacro %}", "appears twice"),
        ("{% for i in x %}{{ f(_loop_vars=1) }}{% endfor %}", "_loop_vars"),
        ("{% for i in x %}{% set loop = 1 %}{% endfor %}", "loop"),
        ("{% for loop in x %}{% endfor %}", "loop"),
        ("{% set a = [] %}{{ a.append(x) }}", "'append'"),
        ("{{ x.encode() }}", "'encode'"),
        ("{{ x.mro }}", "'mro'"),
        ("{{ x.splitlines().clear() }}", "'clear'"),
        ("{{ x | attr('__class__') }}", "'__class__'"),
        ("{{ x | attr('_a') }}", "'_a'"),
        ("{{ [x] | selectattr('__class__') | list }}", "'__class__'"),
        ("{{ [x] | map(attribute='a.__class__') | list }}", "'a.__class__'"),
        ("{{ '{0.__class__}'.format(x) }}", "'__class__'"),
        ("{{ (x ~ '{0.__class__}').format(x) }}", "'__class__'"),
        ("{% macro m(caller) %}{{ caller() }}{% endmacro %}", "caller"),
    ],
)
def test_what_could_not_be_filled_in_is_refused(source, words):
    """Other templates, chance, private attributes and code that Python cannot compile."""
    with pytest.raises(TemplateRefusedError, match=words):
        read_prompt(source)


_EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "1", "'x'", "none", "[]", "{}", "loop", "caller", "2.5", "''"]),
    lambda inner: st.one_of(
        st.builds("({} + {})".format, inner, inner),
        st.builds("({} ~ {})".format, inner, inner),
        st.builds("({} < {} in {})".format, inner, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("({})[{}:{}]".format, inner, inner, inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}).x".format, inner),
        st.builds("({})(b={}, class={})".format, inner, inner, inner),
        st.builds("({})(*{}, **{})".format, inner, inner, inner),
        st.builds("({} | default({}))".format, inner, inner),
        st.builds("({} is eq({}))".format, inner, inner),
        st.builds("{{'k': {}, {}: 1}}".format, inner, inner),
        st.builds("[{}, ({},)]".format, inner, inner),
        st.builds("(not -{})".format, inner),
    ),
    max_leaves=6,
)
_SOURCES = st.recursive(
    st.one_of(
        st.builds("{{{{ {} }}}}".format, _EXPRESSIONS),
        st.builds("{{% set a, b = {} %}}".format, _EXPRESSIONS),
        st.builds("{{% set a.x = {} %}}".format, _EXPRESSIONS),
    ),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds(
            "{{% for a in {} if {} recursive %}}{}{{% else %}}{}{{% endfor %}}".format,
            *(_EXPRESSIONS, _EXPRESSIONS, inner, inner),
        ),
        st.builds(
            "{{% if {} %}}{}{{% elif {} %}}{}{{% endif %}}".format,
            *(_EXPRESSIONS, inner, _EXPRESSIONS, inner),
        ),
        st.builds("{{% with a = {} %}}{}{{% endwith %}}".format, _EXPRESSIONS, inner),
        st.builds("{{% macro m(a, b={}) %}}{}{{% endmacro %}}".format, _EXPRESSIONS, inner),
        st.builds("{{% call(a) m({}) %}}{}{{% endcall %}}".format, _EXPRESSIONS, inner),
        st.builds("{{% set a | trim %}}{}{{% endset %}}".format, inner),
        st.builds("{{% filter replace({}, 'b') %}}{}{{% endfilter %}}".format, _EXPRESSIONS, inner),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(source=_SOURCES)
def test_what_is_accepted_can_be_compiled(source):
    """A prompt that `mealkit check` takes never fails to compile in the gateway."""
    try:
        tree = read_prompt(source)
    except TemplateRefusedError:
        return
    BoundedTemplate(prompt_environment(), tree)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for i in [1, 2] %}{{ loop.index }}{{ loop.first }}{% endfor %}", "1True2False"),
        ("{% set a = {'index': 1, 'real': 2} %}{{ a.index }}{{ a.real }}", "12"),
        ("{% set n = namespace(count=1) %}{% set n.count = 2 %}{{ n.count }}", "2"),
        ("{% macro m(a) %}{{ a }}{{ m.name }}{% endmacro %}{{ m('x') }}", "xm"),
        ("{{ x.upper() }}{{ x.split(' ')[0] }}", "ONE TWOone"),
        ("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}", "ab"),
        ("{{ [{'k': 1}] | map(attribute='k') | first }}", "1"),
    ],
)
def test_what_can_be_filled_in_is_taken(source, text):
    """Names that Python's values have too are names of items as well."""
    template = BoundedTemplate(prompt_environment(), read_prompt(source))
    assert template.render({"x": "one two"}, CostMeter(500_000, 2**20)) == text


_NAMES = st.sampled_from(
    [
        "upper",
        "strip",
        "split",
        "append",
        "encode",
        "clear",
        "mro",
        "index",
        "items",
        "count",
        "format",
        "join",
        "x",
        "real",
        "_a",
        "__class__",
        "pop",
        "copy",
        "isidentifier",
    ]
)
_VALUES = st.recursive(
    st.sampled_from(["a", "b", "'{}'", "'{0.__class__}'", "[]", "[a, b]", "{'k': a}", "1", "(a,)"]),
    lambda inner: st.one_of(
        st.builds("({}).{}({})".format, inner, _NAMES, inner),
        st.builds("({}).{}()".format, inner, _NAMES),
        st.builds("{}.{}".format, st.sampled_from(["a", "b"]), _NAMES),
        st.builds("({} | attr('{}'))".format, inner, _NAMES),
        st.builds("([{}] | map(attribute='{}') | list)".format, inner, _NAMES),
        st.builds("({} ~ {})".format, inner, inner),
        st.builds("({} | list)".format, inner),
    ),
    max_leaves=4,
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(value=_VALUES)
def test_what_is_accepted_is_not_refused_when_it_is_filled_in(value):
    """Values may break a prompt later; what its sandbox never allows is found by `check`."""
    try:
        tree = read_prompt(f"{{{{ {value} }}}}")
    except TemplateRefusedError:
        return
    template = BoundedTemplate(prompt_environment(), tree)
    try:
        template.render({"a": "one two", "b": ""}, CostMeter(500_000, 2**20))
    except SecurityError as error:
        pytest.fail(f"{value}: {error}")
    except Exception:  # noqa: BLE001, S110  these values break the template
        pass

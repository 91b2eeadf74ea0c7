"""What a prompt may be made of is decided once, for `mealkit check` and for the gateway."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mealkit.templating.environment import BoundedTemplate
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
        ("{{ x | random }}", "no filter 'random'"),
        ("{{ x | urlize }}", "no filter 'urlize'"),
        ("{{ x | pprint }}", "no filter 'pprint'"),
        ("{% if x %}{{ x | nothing }}{% endif %}", "no filter 'nothing'"),
        ("{{ x is nothing }}", "no test 'nothing'"),
        ("{{ x.__class__ }}", "'__class__'"),
        ("{{ x._a }}", "'_a'"),
        ("{{ x['__class__'] }}", "'__class__'"),
        ("{{ f(a=1, a=2) }}", "there twice"),
        ("{% macro m(a, a) %}{% endmacro %}", "there twice"),
        ("{% for i in x %}{{ f(_loop_vars=1) }}{% endfor %}", "_loop_vars"),
        ("{% for i in x %}{% set loop = 1 %}{% endfor %}", "loop"),
        ("{% for loop in x %}{% endfor %}", "loop"),
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

"""The text of a template is read within limits, and nothing in it is computed."""

import itertools

import pytest

from mealkit.templating.parsing import TemplateRefusedError, parse
from mealkit.templating.prompts import prompt_environment, read_prompt, variables_of


def refusal(source):
    with pytest.raises(TemplateRefusedError) as caught:
        read_prompt(source)
    return str(caught.value), caught.value.line


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("a" * (1024 * 1024 + 1), "characters"),
        ("{{ a }}" * 20_000, "tokens"),
        ("{{ a" + " + a" * 7_000 + " }}", "deep"),
        ("{{ [" + "a," * 14_000 + "] }}", "parts"),
        ("{{ " + "(" * 33 + "a" + ")" * 33 + " }}", "brackets"),
        ("{{ " + "[" * 200_000, "brackets"),
        ("{" * 1_000_000, "brackets"),
        ("{{" * 500_000, "brackets"),
        ("{{ a" + ".b" * 70 + " }}", "deeper than 64"),
        ("{{ " + "not " * 9_000 + "a }}", "deep"),
        ("{{ " + "-" * 9_000 + "a }}", "deep"),
        ("{{ " + "a if b else " * 4_000 + "c }}", "deep"),
        ("{% if a %}" * 80 + "{% endif %}" * 80, "deeper than 64"),
        ("{% if a %}" * 2_000, "deep"),
        ("{% for a in b %}" * 13 + "{% endfor %}" * 13, "loops nest"),
        ("{{ " + "1" * 5_000 + " }}", "number"),
        ("{{ 0x" + "f" * 9_000 + " }}", "number"),
        ("{{ " + "1_" * 200_000 + "1 }}", "digits"),
        ("{{ " + "1" * 1_000_000 + " }}", "digits"),
        ("{{ 1e999 }}", "too large"),
        ("{{ a[1:2, 3] }}", "slice"),
        ("{{ \N{FULLWIDTH LATIN SMALL LETTER N}ame }}", "normalised"),
        ("{{ 'a", "unexpected char"),
        ("{{ '" + "'" * 300_000, "tokens"),
        ("{# " * 300_000, "comment"),
        ("{% raw %}" + "{% " * 300_000, "raw"),
        ("{% a %}", "unknown tag"),
        (r"{{ '\x' }}", "escape"),
    ],
    ids=itertools.count(),
)
def test_what_breaks_a_limit_is_refused(source, words):
    """Length, tokens, parts, nesting and numbers are bounded, and each is named."""
    assert words in refusal(source)[0]


@pytest.mark.parametrize(
    "source",
    [
        "{{ " + "(" * 32 + "a" + ")" * 32 + " }}",
        "{{ " + "[" * 32 + "a" + "]" * 32 + " }}",
        "{{ a" + " ~ a" * 1_000 + " }}",
        "{% if a %}" + "{% elif a %}x" * 500 + "{% endif %}",
        "{% for a in b %}" * 12 + "{{ a }}" + "{% endfor %}" * 12,
        "{{ '" + "\\\\" * 400_000 + "' }}",
        "\n" * 1_000_000,
        "0" * 10_000,
    ],
    ids=itertools.count(),
)
def test_what_keeps_the_limits_is_read(source):
    """Templates that are merely large are read."""
    assert variables_of(source) <= {"a", "b"}


def test_a_refusal_names_the_line():
    """Where a template breaks a limit is told."""
    assert refusal("one\n{% if x %}\n{{ y }")[1] == 3
    assert refusal("one\ntwo {{ " + "1" * 99 + " }}")[1] == 2


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a' * 4000000000 }}",
        "{{ 9 ** 9999999999 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%9999999999d' % 1 }}",
        "{{ 'a' | center(4000000000) }}",
        "{{ 'a' | indent(4000000000) }}",
        "{{ [1] * 4000000000 }}",
        "{{ (('a' * 99999) * 99999) | upper }}",
        "{% if 'a' * 4000000000 %}{% endif %}",
        "{% for i in [0] * 4000000000 %}{% endfor %}",
        "{% set x = 'a' * 4000000000 %}",
        "{% macro m(a='a' * 4000000000) %}{% endmacro %}",
        "{{ {'a' * 4000000000: 1} }}",
        "{{ 'a' * 4000000000 ~ 'b' }}",
        "{{ 'a' * 4000000000 == 'b' }}",
        "{{ ('a' * 4000000000)[0] }}",
        "{{ 'b' is in('a' * 4000000000) }}",
        "{{ x | default('a' * 4000000000) }}",
        "{{ 'a' if 'a' * 4000000000 else 'b' }}",
    ],
)
def test_looking_at_a_template_computes_nothing(limited, source):
    """Constants that would fill the memory stay as they are written: when looked at and compiled."""
    limited(f"""
from mealkit.templating.environment import BoundedTemplate
from mealkit.templating.prompts import prompt_environment, read_prompt, variables_of
variables_of({source!r})
BoundedTemplate(prompt_environment(), read_prompt({source!r}))
""")


def test_looking_at_a_template_runs_nothing_of_python(tmp_path):
    """What a filter's value leads to is not reached: its attributes are neither read nor called."""
    target = tmp_path / "ran"
    code = f"__import__('pathlib').Path({str(target)!r}).touch()"
    for source in (
        "{{ ({}|items).gi_frame.f_builtins.exec(CODE) }}",
        "{{ (x|map).__class__.__mro__[1] }}",
        "{{ ([]|map('upper')).gi_frame.f_globals['t']['RootModel'][CODE] }}",
        "{{ ('a'|attr('x')).y[CODE] }}",
        "{{ (1|abs).real }}{{ ('a'|list).index('a') }}",
    ):
        with_code = source.replace("CODE", repr(code))
        parse(prompt_environment(), with_code)
        try:
            variables_of(with_code)
        except TemplateRefusedError:
            continue
    assert not target.exists()

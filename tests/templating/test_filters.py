"""Filters and tests give what jinja2 gives, and are charged before they run."""

import pytest


@pytest.mark.parametrize(
    "source",
    [
        "{{ text | trim }}|{{ text | upper }}|{{ text | lower }}|{{ text | title }}",
        "{{ text | capitalize }}|{{ text | replace('o', '0') }}|{{ text | length }}",
        "{{ text | tojson }}|{{ text | tojson(indent=2) }}|{{ {'b': [1], 'a': text} | tojson }}",
        "{{ text | default('x') }}|{{ '' | default('x', true) }}|{{ text | truncate(9) }}",
        "{{ text | wordwrap(12) }}|{{ text | wordcount }}|{{ text | indent(2, true) }}",
        "{{ text | center(200) }}|{{ text | urlencode }}|{{ text | striptags }}|{{ text | e }}",
        "{{ [3, 1, 2] | sort | join }}|{{ [1, 2, 3] | sum }}|{{ [1, 2] | max }}|{{ 'cab' | list }}",
        "{{ ['a', 'B'] | map('upper') | list }}|{{ [1, 2, 3, 4] | select('odd') | list }}",
        "{{ [{'k': 1}, {'k': 2}] | map(attribute='k') | join('-') }}",
        "{{ [{'k': 1}, {'k': 2}] | selectattr('k', 'gt', 1) | list }}|{{ {'b': 1, 'a': 2} | dictsort }}",
        "{{ [1, 2, 3, 4, 5] | batch(2, 'x') | list }}|{{ [1, 2, 3] | slice(2) | list }}",
        "{{ [1, 1, 2] | unique | list }}|{{ 'abc' | reverse }}|{{ [1, 2] | first }}|{{ [1, 2] | last }}",
        "{{ 2.567 | round(1) }}|{{ '3' | int + 1 }}|{{ '2.5' | float }}|{{ 1024 | filesizeformat }}",
        "{{ text is string }}{{ 1 is number }}{{ [] is sequence }}{{ text is defined }}{{ 3 is odd }}",
    ],
)
def test_filters_give_what_jinja_gives(same_as_jinja, source):
    """The text is jinja2's own."""
    same_as_jinja(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text | wordwrap }}",
        "{{ text | wordwrap(1) }}",
        "{{ text | title }}",
        "{{ text | urlencode }}",
        "{{ ('<' ~ text) * 9 | striptags }}",
        "{{ (text | list) | sort | join }}",
        "{{ text | map('upper') | list }}",
        "{{ text | reject('string') | list }}",
        "{{ text | select | list }}",
        "{{ text | batch(1) | list }}",
        "{{ text | replace('', 'xx') }}",
        "{{ text | replace('a', text) }}",
        "{{ text | join(text) }}",
        "{{ 'a' | center(4000000000) }}",
        "{{ 'a' | indent(4000000000, true) }}",
        "{{ ('a\\n' * 9000) | indent(9000) }}",
        "{{ '\\n' * 99 | indent(text) }}",
        "{{ [1] | batch(4000000000, 1) | list }}",
        "{{ [1] | slice(4000000000) | list }}",
        "{{ [1] | tojson(indent=999999999) }}",
    ],
)
def test_filters_that_cost_too_much_are_given_up(given_up, source):
    """Rendering ends before the budget is exceeded, in time and in memory."""
    given_up(source)

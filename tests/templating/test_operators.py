"""Operators give what jinja2 gives, and are charged before they run."""

import pytest


@pytest.mark.parametrize(
    "source",
    [
        "{{ 7 // 2 }}{{ 7 % 2 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ -7 }}{{ 1 < 2 < 3 }}{{ 1 == 1.0 }}{{ 3 in [3] }}",
        "{{ ('<b>' | safe) + text }}|{{ '<i>' ~ ('<b>' | safe) }}|{{ {'a': 1} | xmlattr }}",
        "{{ text ~ 1 ~ none ~ [1] }}{{ [1] + [2] }}{{ 'ab' * 3 }}{{ (1, 2)[0] }}{{ {'a': {'b': 1}}.a.b }}",
    ],
)
def test_operators_give_what_jinja_gives(same_as_jinja, source):
    """The text is jinja2's own."""
    same_as_jinja(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text * 100 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%.999999999f' % 1 }}",
        "{{ ('%s' * 1000) % ((text,) * 1000) }}",
        "{{ [0] * 4000000000 }}",
    ],
)
def test_operators_that_cost_too_much_are_given_up(given_up, source):
    """Rendering ends before the budget is exceeded, in time and in memory."""
    given_up(source)

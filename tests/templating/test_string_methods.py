"""The methods of texts give what Python gives, and are charged before they run."""

import pytest


@pytest.mark.parametrize(
    "source",
    [
        "{{ text.split() | join(', ') }}|{{ text.split('o', 1) }}|{{ text.splitlines() }}",
        "{{ text.strip().startswith('The') }}|{{ text.find('fox') }}|{{ text[4:9] }}|{{ text[::-1] }}",
        "{{ '%s and %05d' % (text, 7) }}|{{ '%(a)s' | format(a=text) }}|{{ '{0!r:>9} {x}'.format(1, x=2) }}",
    ],
)
def test_string_methods_give_what_jinja_gives(same_as_jinja, source):
    """The text is jinja2's own."""
    same_as_jinja(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text.replace('a', text) }}",
        "{{ text.split('a') | length }}",
        "{{ text.join(text) }}",
        "{{ text.rfind(text[:1000] ~ 'b') }}",
        "{{ text.strip(text[:100000]) }}",
        "{{ text.title() }}",
        "{{ 'a'.center(4000000000) }}",
        "{{ 'a'.zfill(4000000000) }}",
        "{{ '\\t'.expandtabs(4000000000) }}",
        "{{ '{:999999999}'.format(1) }}",
        "{{ ('{0}' * 1000).format(text) }}",
    ],
)
def test_string_methods_that_cost_too_much_are_given_up(given_up, source):
    """Rendering ends before the budget is exceeded, in time and in memory."""
    given_up(source)

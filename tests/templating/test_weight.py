"""A value is weighed with everything in it, and weighing is charged too."""

import pytest


@pytest.mark.parametrize(
    "source",
    [
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
    ],
)
def test_values_that_are_too_heavy_are_given_up(given_up, source):
    """Rendering ends before the budget is exceeded, in time and in memory."""
    given_up(source)

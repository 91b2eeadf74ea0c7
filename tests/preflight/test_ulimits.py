"""The limits of this process."""

import resource

from mealkit.preflight.facts import read_facts


def test_ulimits_are_those_of_this_process():
    """The limits are told as they hold here; none is None."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    facts = read_facts()
    assert facts.ulimits.open_files == soft
    assert facts.ulimits.unknown == {}

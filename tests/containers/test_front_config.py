"""The configuration of a front, as values."""

import pytest

from mealkit.containers.front_config import Route, Target, front_config, stated_route
from mealkit.errors import KitError

ROUTE = Route(Target("demo-3", 8000), "172.20.4.7", "r2")


def test_a_configuration_states_its_route():
    """What is written is read back, and only its slot gets requests."""
    text = front_config(ROUTE)
    assert stated_route(text) == ROUTE
    servers = [line.split() for line in text.splitlines() if line.startswith("    server ")]
    ready = [words[1:3] for words in servers if "disabled" not in words]
    assert ready == [["r2", "172.20.4.7:8000"]]


def test_a_configuration_may_have_no_route():
    """Then no slot gets requests."""
    text = front_config(None)
    assert stated_route(text) is None
    assert text.count(" disabled") == text.count("    server ")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "global",
        "# target: r99 demo:8000 at 172.20.4.7",
        "# target: r1 demo:8000 at 172.20.4.7\rserver evil",
        "# target: r1 demo; x:8000 at 172.20.4.7",
    ],
)
def test_other_texts_state_no_route(text):
    """A damaged file is as none: the next route writes it again."""
    assert stated_route(text) is None


def test_a_target_is_a_name_and_a_port():
    """It is read and written in the same form."""
    assert str(Target.parse("demo-1:8000")) == "demo-1:8000"


@pytest.mark.parametrize(
    "text", ["demo", "demo:", ":80", "demo:0", "demo:65536", "a b:80", "d:8e3"]
)
def test_other_targets_are_refused(text):
    """Names and ports that no container has are the caller's mistake."""
    with pytest.raises(KitError):
        Target.parse(text)

"""Which container client is taken, and what is said when none works."""

from dataclasses import dataclass

import pytest

from mealkit.containers.select import all_clients, choose
from mealkit.errors import ContainerError, KitError


@dataclass(frozen=True)
class Fixed:
    """A client whose availability is known."""

    name: str
    reason: str | None = None

    def available(self):
        return self.reason


DOCKER, PODMAN, SANDBOX = Fixed("docker", "no socket"), Fixed("podman"), Fixed("sandbox")


def test_the_first_that_works_is_taken():
    """Order decides among those that work."""
    assert choose([DOCKER, PODMAN, SANDBOX]) == PODMAN


def test_the_wanted_one_is_taken_even_if_another_comes_first():
    """A choice is a choice."""
    assert choose([DOCKER, PODMAN, SANDBOX], "sandbox") == SANDBOX


def test_a_wanted_one_that_does_not_work_is_not_replaced():
    """There is no silent fallback."""
    with pytest.raises(ContainerError, match="docker: no socket") as error:
        choose([DOCKER, PODMAN, SANDBOX], "docker")
    assert error.value.problems[0].code == "CLIENT_UNAVAILABLE"


def test_when_none_works_every_reason_is_told():
    """All reasons stand in one problem."""
    with pytest.raises(ContainerError) as error:
        choose([DOCKER, Fixed("sandbox", "user.max_user_namespaces is 0")])
    assert error.value.problems[0].code == "CLIENT_NONE"
    assert "docker: no socket; sandbox: user.max_user_namespaces is 0" in str(error.value)


def test_an_unknown_name_lists_the_known_ones():
    """A typing error is the caller's."""
    with pytest.raises(KitError) as error:
        choose([DOCKER, PODMAN], "dokcer")
    assert "docker, podman" in error.value.problems[0].hint


def test_clients_stand_in_the_order_of_isolation(tmp_path):
    """Docker, podman, sandbox."""
    assert [client.name for client in all_clients(tmp_path)] == ["docker", "podman", "sandbox"]

"""Chooses the container client: the requested one, or the first that works here.

Raises ContainerError if none works, with the reason for each.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from mealkit.containers.docker import DockerClient
from mealkit.containers.sandbox import Sandbox
from mealkit.containers.starting_daemons import how_to_start
from mealkit.errors import failure


class NamedClient(Protocol):
    """The part of a client that the choice needs."""

    @property
    def name(self) -> str:
        """The name of the client."""
        ...

    def available(self) -> str | None:
        """Return the reason why it cannot be used here; None if it can."""
        ...


C = TypeVar("C", bound=NamedClient)


def all_clients(state: Path) -> tuple[DockerClient | Sandbox, ...]:
    """Return all clients, the one that isolates best first; ``state`` is for sandboxes' records."""
    return (DockerClient(), DockerClient.podman(), Sandbox(state))


def choose(clients: Sequence[C], wanted: str | None = None) -> C:
    """Return the client named ``wanted``, or the first of ``clients`` that works here.

    Raises:
        ContainerError: CLIENT_NONE or CLIENT_UNAVAILABLE, with the reason for each.
        KitError: USAGE, no client has the name.
    """
    named = [client for client in clients if wanted in {None, client.name}]
    if not named:
        names = ", ".join(client.name for client in clients)
        raise failure("USAGE", f"there is no container client {wanted!r}", hint=f"one of: {names}")
    reasons: dict[str, str] = {}
    for client in named:
        reason = client.available()
        if reason is None:
            return client
        reasons[client.name] = reason
    said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    name, reason = next(iter(reasons.items()))
    if wanted is not None:
        message = f"the container client cannot be used; {said}"
        raise failure("CLIENT_UNAVAILABLE", message, hint=how_to_start(name, reason))
    raise failure("CLIENT_NONE", f"no container client works here; {said}", hint=_any(reasons))


def _any(reasons: Mapping[str, str]) -> str | None:
    """Return how to get a client that works: the engine that is installed comes first."""
    commands = [how_to_start(name, reason) for name, reason in reasons.items()]
    started = [item.partition(";")[0] for item in commands if item and "install" not in item]
    return f"{started[0]}; or allow user namespaces for the sandbox" if started else None

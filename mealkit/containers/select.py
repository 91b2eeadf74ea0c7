"""Chooses the container client: the requested one, or the first that works here.

Raises ContainerError if none works, with the reason for each.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from mealkit.containers.docker import DockerClient
from mealkit.containers.sandbox import Sandbox
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
    reasons = []
    for client in named:
        reason = client.available()
        if reason is None:
            return client
        reasons.append(f"{client.name}: {reason}")
    raise failure(
        "CLIENT_NONE" if wanted is None else "CLIENT_UNAVAILABLE",
        f"no container client works here; {'; '.join(reasons)}"
        if wanted is None
        else f"the container client cannot be used; {reasons[0]}",
    )

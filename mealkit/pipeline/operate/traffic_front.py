"""What a deployment needs of its front: the part that keeps the address while revisions change."""

from typing import Protocol

from mealkit.containers.front_control import Totals
from mealkit.deploy.watch import Counts


class Front(Protocol):
    """Keeps the address, and sends new requests to one target; running ones stay where they are."""

    @property
    def network(self) -> str | None:
        """The network that the revisions join."""
        ...

    def ensure(self) -> object:
        """Create the network and the front, unless they are there."""
        ...

    def route(self, target: str | None) -> None:
        """Send new requests to a container (``name:port``), or (None) refuse them."""
        ...

    def is_serving(self, target: str) -> bool:
        """Return whether new requests go to a target, and only to it."""
        ...

    def sessions(self, target: str) -> int:
        """Return how many requests are open at a target."""
        ...

    def totals(self, target: str) -> Totals:
        """Return what has been answered at a target."""
        ...

    def remove(self) -> None:
        """Remove the front and its network."""
        ...


def counts_of(totals: Totals) -> Counts:
    """Return the counts that revisions are compared by."""
    errors = totals.connection_errors + totals.answer_errors
    answered = sum(totals.answers)
    return Counts(
        answers=answered + errors,
        errors=errors + totals.answers[4],
        refused=totals.answers[3],
        mean_seconds=totals.first_byte_seconds if answered else None,
    )

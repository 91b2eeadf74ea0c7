"""What an endpoint of a hosted worker is: a function from one call to an answer.

Standard library only.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mealkit.worker.interface import IsCancelled


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its body, and whether nobody waits for the answer any more."""

    body: bytes
    is_cancelled: IsCancelled


Endpoint = Callable[[Call], bytes | Iterator[bytes]]
"""Bytes are the body of a 200. An iterator gives server-sent events, each whole; what it raises
before the first is the answer, later it is an event; it is closed when the peer goes."""


DONE = b"data: [DONE]\n\n"


def event(content: str) -> bytes:
    """Write a server-sent event; JSON has no line breaks, so it is one line.

    https://html.spec.whatwg.org/multipage/server-sent-events.html
    """
    return f"data: {content}\n\n".encode()

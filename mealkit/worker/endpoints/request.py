"""What an endpoint of a hosted worker is, and how it reads the body that the gateway wrote.

The gateway has typed every value, filled in what the kit pins and refused the rest, so nothing of
that is done again here. What is left keeps a worker from failing on a body that the gateway could
not have written: it gets one short answer, 400. Standard library only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json
from mealkit.worker.interface import IsCancelled

# More than the gateway lets through, which adds a little of its own.
MAX_DEPTH = 160
MAX_VALUES = 250_000


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """One request: its body, and whether its caller has gone."""

    body: bytes
    is_cancelled: IsCancelled


WorkerEndpoint = Callable[[EndpointCall], bytes | Iterator[bytes]]
"""Bytes are the body of a 200. An iterator gives server-sent events, each whole; what it raises
before the first is the answer, later it is an event; it is closed when the peer goes."""

_Request = TypeVar("_Request")
_Value = TypeVar("_Value")


def read_request(body: bytes, build: Callable[[Mapping[str, Any]], _Request]) -> _Request:
    """Return what ``build`` makes of a body's fields; it may fail on what is missing or mistyped.

    Raises:
        RequestError: ``REQUEST_INVALID``, the body is not what the gateway writes.
    """
    try:
        values = parse_json(body, max_depth=MAX_DEPTH, max_values=MAX_VALUES)
        return build(typed(values, dict))
    except UntrustedError as error:
        raise failure("REQUEST_INVALID", f"the body cannot be read: {error}") from error
    except (LookupError, TypeError, ValueError) as error:
        message = f"the body is not a request of the gateway: {error!r:.200}"
        raise failure("REQUEST_INVALID", message) from error


def typed(value: Any, kind: type[_Value]) -> _Value:
    """Return a value that has exactly this type: True is no number.

    Raises:
        TypeError: it has another one.
    """
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def texts_of(value: Any) -> list[str]:
    """Return a text, or a list of them, as a list.

    Raises:
        TypeError: it is something else.
        ValueError: there is none.
    """
    texts = [value] if isinstance(value, str) else typed(value, list)
    if not texts:
        raise ValueError("no text")
    return [typed(text, str) for text in texts]

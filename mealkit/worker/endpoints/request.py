"""The type of a hosted worker's endpoint, and reading of the gateway's request bodies.

The gateway has checked every value and filled in the kit's values, so none of that is repeated
here. These checks only answer a body that the gateway cannot have written with a short 400, instead
of an exception. Standard library only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json
from mealkit.worker.interface import IsCancelled

# More than the gateway's limit, because the gateway adds fields.
MAX_DEPTH = 160
MAX_VALUES = 250_000


@dataclass(frozen=True, slots=True)
class EndpointCall:
    """One request: its body, and whether its caller has disconnected."""

    body: bytes
    is_cancelled: IsCancelled


WorkerEndpoint = Callable[[EndpointCall], bytes | Iterator[bytes]]
"""Bytes are the body of a 200. An iterator yields whole server-sent events. An error before the
first event is the answer; a later one becomes an event. It is closed when the peer disconnects."""

_Request = TypeVar("_Request")
_Value = TypeVar("_Value")


def read_request(body: bytes, build: Callable[[Mapping[str, Any]], _Request]) -> _Request:
    """Return the result of ``build`` for a body's fields; missing or mistyped fields may raise.

    Raises:
        RequestError: ``REQUEST_INVALID``, the body is not a request of the gateway.
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
    """Return a value of exactly this type; True is not a number.

    Raises:
        TypeError: the value has another type.
    """
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def texts_of(value: Any) -> list[str]:
    """Return a text, or a list of them, as a list.

    Raises:
        TypeError: the value is neither.
        ValueError: the list is empty.
    """
    texts = [value] if isinstance(value, str) else typed(value, list)
    if not texts:
        raise ValueError("there is no text")
    return [typed(text, str) for text in texts]

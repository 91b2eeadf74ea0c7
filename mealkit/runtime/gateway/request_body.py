"""Reads a request's body, up to the kit's limit.

Raises RequestError for a larger body, without reading all of it. A little more than the limit is
read and dropped, because a caller that is still sending would not see the answer; beyond that the
connection is closed.
"""

from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from mealkit.errors import MealkitError, failure


async def read_body(request: Request, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Return the body; ``hold`` is called with the number of stored bytes, and may raise.

    Raises:
        RequestError: ``REQUEST_TOO_LARGE``.
        ClientDisconnect: the caller disconnected while sending.
    """
    stated = request.headers.get("content-length", "0")
    if stated.isdigit() and int(stated) > 2 * limit_bytes:
        raise _too_large(f"{int(stated)} bytes", limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        more = message.get("more_body", False)
        size_bytes += len(part)
        if size_bytes > 2 * limit_bytes:
            raise _too_large(f"more than {2 * limit_bytes} bytes", limit_bytes)
        if size_bytes <= limit_bytes:
            hold(len(part))
            parts.append(part)
        else:
            parts.clear()
    if size_bytes > limit_bytes:
        raise _too_large(f"{size_bytes} bytes", limit_bytes)
    return b"".join(parts)


def _too_large(size: str, limit_bytes: int) -> MealkitError:
    message = f"the body has {size}, the limit is {limit_bytes} bytes"
    return failure("REQUEST_TOO_LARGE", message)

"""Reads a request's body, up to the kit's limit, and unpacks it if it is compressed with gzip.

Raises RequestError for a larger body, without reading all of it. A little more than the limit is
read and dropped, because a caller that is still sending would not see the answer; beyond that the
connection is closed. The limit is also that of the unpacked body.
"""

import asyncio
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request

from mealkit.errors import MealkitError, failure
from mealkit.runtime.body_limits import BodyLimit
from mealkit.untrusted import shown

_GZIP = frozenset({"gzip", "x-gzip"})
# zlib's window bits for gzip's format.
_GZIP_BITS = 31
# How much is unpacked before other requests are served.
_PIECE_BYTES = 64 * 1024
# A body may consist of several gzip files. Each of them costs memory and time, however small.
_MAX_MEMBERS = 64


async def read_body(request: Request, limit: BodyLimit, hold: Callable[[int], None]) -> bytes:
    """Return the body, without a byte order mark.

    ``hold`` is called with the number of stored bytes, and may raise.

    Raises:
        RequestError: ``REQUEST_TOO_LARGE``; ``REQUEST_MEDIA_TYPE``, it is compressed in another
            way; ``REQUEST_INVALID``, it cannot be unpacked.
        ClientDisconnect: the caller disconnected while sending.
    """
    is_packed = _is_packed(request.headers.get("content-encoding"))
    limit_bytes = limit.total_bytes
    stated = request.headers.get("content-length", "0")
    if stated.isdigit() and int(stated) > 2 * limit_bytes:
        raise _too_large(f"{int(stated)} bytes", limit)
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
            raise _too_large(f"more than {2 * limit_bytes} bytes", limit)
        if size_bytes <= limit_bytes:
            hold(len(part))
            parts.append(part)
        else:
            parts.clear()
    if size_bytes > limit_bytes:
        raise _too_large(f"{size_bytes} bytes", limit)
    body = b"".join(parts)
    if is_packed:
        body = await _unpacked(body, limit, hold)
    return body.removeprefix(BOM_UTF8)


def _is_packed(encoding: str | None) -> bool:
    if encoding is None:
        return False
    plain = encoding.strip().lower()
    if plain in _GZIP:
        return True
    if plain in {"", "identity"}:
        return False
    message = f"the body has the Content-Encoding {shown(encoding)}, expected gzip or none"
    hint = "send the body without compression, or with gzip"
    raise failure("REQUEST_MEDIA_TYPE", message, where="Content-Encoding", hint=hint)


async def _unpacked(packed: bytes, limit: BodyLimit, hold: Callable[[int], None]) -> bytes:
    """Unpack piece by piece, so that a small body cannot fill the memory or block others."""
    parts: list[bytes] = []
    size_bytes = members = 0
    while packed:
        unpacking = zlib.decompressobj(_GZIP_BITS)
        members += 1
        while not unpacking.eof:
            try:
                part = unpacking.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise failure("REQUEST_INVALID", f"the body is not valid gzip: {error}") from error
            packed = unpacking.unconsumed_tail
            size_bytes += len(part)
            if size_bytes > limit.total_bytes:
                raise _too_large(f"more than {limit.total_bytes} bytes when unpacked", limit)
            if not part and not unpacking.eof:
                raise failure("REQUEST_INVALID", "the body is not valid gzip: its end is missing")
            hold(len(part))
            parts.append(part)
            await asyncio.sleep(0)
        packed = unpacking.unused_data
        if members > _MAX_MEMBERS:
            raise failure("REQUEST_INVALID", f"the body has more than {_MAX_MEMBERS} gzip files")
    return b"".join(parts)


def _too_large(size: str, limit: BodyLimit) -> MealkitError:
    message = f"the body has {size}, the limit is {limit.words}"
    hint = "send less at once; the kit's author can raise serving.max_body in kit.yaml"
    return failure("REQUEST_TOO_LARGE", message, hint=hint)

"""The digest value, canonical JSON, and reading and hashing of files.

Supports only SHA-256, which OCI registries, the Hub, Debian and Python indexes publish. Also runs
in the image.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from mealkit.untrusted import open_regular

# OpenSSL releases the GIL while it hashes; larger chunks than this fall out of the CPU's cache.
CHUNK_BYTES = 1024 * 1024

_HEX = re.compile(r"[0-9a-f]{64}")


class Digest(str):
    """A SHA-256 digest in the form ``sha256:<64 hex digits>``, checked when it is created.

    It is a ``str``, so that it can be sorted, compared and written as JSON.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Parse ``sha256:<hex>``.

        Raises:
            ValueError: the text is anything else.
        """
        algorithm, _, digits = text.partition(":")
        if algorithm != "sha256" or not _HEX.fullmatch(digits):
            raise ValueError(f"{text!r} is not sha256: and 64 lower-case hex digits")
        return super().__new__(cls, text)

    @classmethod
    def from_hex(cls, digits: str) -> Self:
        """Create a digest from bare hex digits (as the Hub and Debian publish them)."""
        return cls(f"sha256:{digits.lower()}")

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Compute the digest of bytes."""
        return cls(f"sha256:{hashlib.sha256(data).hexdigest()}")

    @property
    def hex(self) -> str:
        """The 64 hex digits without the prefix."""
        return self[7:]

    @property
    def short(self) -> str:
        """The first 12 hex digits, for people."""
        return self[7:19]

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        # Imported here, so that a worker without pydantic can import this module.
        from pydantic_core import core_schema  # noqa: PLC0415

        return core_schema.no_info_after_validator_function(
            cls, core_schema.str_schema(pattern=r"^sha256:[0-9a-f]{64}$", strict=True)
        )


def canonical_json(value: Any) -> bytes:
    """Encode a value as canonical JSON: sorted keys, no spaces, UTF-8, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def file_chunks(
    path: Path, offset: int = 0, length: int | None = None, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[memoryview]:
    """Yield ``length`` bytes of a file from ``offset`` (all, if None).

    The yielded view is reused: copy what you need before you request the next one. Ends early if
    the file does; a caller that needs the length must check it. Never waits for a FIFO or a device,
    and reads at most the size that the file had when it was opened, so that it always ends.

    Raises:
        OSError: the file cannot be read, is not a regular file, or grew (if ``length`` is None).
    """
    buffer = bytearray(chunk_bytes)
    view = memoryview(buffer)
    with open(open_regular(path), "rb", buffering=0) as stream:  # noqa: PTH123  a descriptor
        size_bytes = os.fstat(stream.fileno()).st_size
        left = max(0, size_bytes - offset) if length is None else length
        stream.seek(offset)
        while left > 0:
            got = stream.readinto(view[: min(chunk_bytes, left)])
            if not got:
                return
            left -= got
            yield view[:got]
        # Files that the kernel generates have size 0, but content.
        if length is None and stream.read(1):
            raise OSError(errno.EIO, "it grew while it was read", str(path))


def digest_of_file(path: Path) -> Digest:
    """Hash a file without reading it into memory."""
    state = hashlib.sha256()
    for chunk in file_chunks(path):
        state.update(chunk)
    return Digest(f"sha256:{state.hexdigest()}")

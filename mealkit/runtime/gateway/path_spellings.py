"""Accepts other spellings of the endpoints' paths, and names the endpoint that a caller meant.

A client with a base address such as ``http://HOST:8000/v1/`` asks for ``//chat/completions``, or
with a slash at the end.
"""

import re
from collections.abc import Iterable

_SLASHES = re.compile("/{2,}")
_API = "/v1"


class Paths:
    """The paths of a kit's endpoints."""

    def __init__(self, paths: Iterable[str], open_ended: str) -> None:
        """Know ``paths``, and all paths that begin with ``open_ended``."""
        self._known = frozenset(paths)
        self._open_ended = open_ended

    def __contains__(self, path: str) -> bool:
        """Return whether a path is exactly that of an endpoint."""
        return path in self._known

    def usual(self, path: str) -> str:
        """Return the path of the endpoint, if only the slashes differ; otherwise the path."""
        plain = _plain(path)
        known = plain in self._known or plain.startswith(self._open_ended)
        return plain if known else path

    def hint(self, path: str) -> str | None:
        """Return a hint for an unknown path: too little, or too much, in the base address."""
        plain = _plain(path)
        meant = [
            known
            for known in self._known
            if known.startswith(f"{_API}/")
            and (plain == known.removeprefix(_API) or plain.endswith(known))
        ]
        if not meant:
            return None
        known = max(meant, key=len)
        return f"use the path {known}; base addresses of clients end with {_API}"


def _plain(path: str) -> str:
    return _SLASHES.sub("/", path).rstrip("/") or "/"

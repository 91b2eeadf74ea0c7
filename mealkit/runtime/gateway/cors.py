"""Lets the pages of named origins call the kit from a browser, and read its answers.

Without names a browser gets no permission: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

import re

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import Scope

_ANY = "*"
_METHODS = "GET, POST"
# How long a browser may remember the permission; browsers use at most two hours.
_SECONDS = "7200"
_READABLE = (
    "Retry-After, X-Mealkit-Budget, X-Mealkit-Budget-Warning, X-Mealkit-Data-Warnings,"
    " X-Mealkit-Recipe, X-Mealkit-Salt, X-Mealkit-Seed, X-Mealkit-System-Prompt, X-Request-Id"
)
_NAMES = re.compile(r"[A-Za-z0-9-]{1,64}(?: ?, ?[A-Za-z0-9-]{1,64}){0,63}")


class Cors:
    """The permissions for the pages of some origins."""

    def __init__(self, origins: frozenset[str]) -> None:
        """Allow ``origins``; ``*`` allows all."""
        self._origins = origins

    @property
    def is_on(self) -> bool:
        """Whether any origin is allowed."""
        return bool(self._origins)

    def preflight(self, scope: Scope) -> Response | None:
        """Return the answer to a browser's question whether a page may send a request.

        None if the request is not such a question, or its origin is not allowed. Browsers send no
        key with it, and it reaches no endpoint.
        """
        if scope["method"] != "OPTIONS" or not self._allowed(scope):
            return None
        asked = {name: value for name, value in scope["headers"] if name.startswith(b"access-")}
        if b"access-control-request-method" not in asked:
            return None
        headers = {"Access-Control-Allow-Methods": _METHODS, "Access-Control-Max-Age": _SECONDS}
        names = asked.get(b"access-control-request-headers", b"").decode("latin-1")
        if _NAMES.fullmatch(names):
            headers["Access-Control-Allow-Headers"] = names
        if b"access-control-request-private-network" in asked:
            headers["Access-Control-Allow-Private-Network"] = "true"
        return Response(status_code=204, headers=headers)

    def mark(self, scope: Scope, headers: MutableHeaders) -> None:
        """Add the permission to an answer."""
        headers.add_vary_header("Origin")
        if origin := self._allowed(scope):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _READABLE

    def _allowed(self, scope: Scope) -> str | None:
        """Return the origin of a request, if it is allowed."""
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = str(value, "latin-1")
                return origin if _ANY in self._origins or origin.lower() in self._origins else None
        return None

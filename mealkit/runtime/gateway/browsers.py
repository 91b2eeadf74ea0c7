"""Refuses requests of other web pages to a kit that requires no key.

A page that is open in a browser can send requests from the user's machine: to an address of that
machine, or with the page's own host name, if its DNS entry was changed to that address (DNS
rebinding). Raises RequestError for hosts that are not this kit's, for the origins of other pages,
and for body types that a page may send to any host. Requests with a key need none of these checks,
because a page has no key.

Rules: https://fetch.spec.whatwg.org/#cors-safelisted-request-header and
https://www.w3.org/TR/fetch-metadata/
"""

import re
import socket
from collections.abc import Iterable

from starlette.types import Scope

from mealkit.addresses import is_address
from mealkit.errors import MealkitError, failure
from mealkit.runtime.api.endpoints import ENDPOINTS
from mealkit.runtime.api.form_data import MEDIA_TYPE
from mealkit.runtime.settings import Settings
from mealkit.untrusted import shown

_ANY = "*"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)")
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9_.-]+?)\.?)(?::[0-9]*)?")
_JSON = re.compile(r"application/(?:[a-z0-9.!#$&^_-]+\+)?json")
_FORM_PATHS = frozenset(endpoint.path for endpoint in ENDPOINTS if endpoint.read_form)
_SHOWN = {b"host", b"origin", b"content-type", b"sec-fetch-site", b"sec-fetch-mode"}


class Browsers:
    """Distinguishes requests of the kit's own pages from those of other pages."""

    def __init__(self, settings: Settings) -> None:
        own = {settings.host.lower(), socket.gethostname().lower(), "localhost"}
        self._hosts = own | settings.hosts
        self._origins = settings.origins

    def check(self, scope: Scope) -> None:
        """Raise if another site's page made the browser send the request.

        Raises:
            RequestError: ``REQUEST_HOST``, ``REQUEST_ORIGIN`` or ``REQUEST_MEDIA_TYPE``.
        """
        stated = _stated(scope["headers"])
        host = stated.get(b"host", "")
        if host and not self._is_own(host):
            raise failure("REQUEST_HOST", f"the request is for the host {shown(host)}")
        self._check_origin(scope["method"], host, stated)
        if scope["method"] == "POST":
            _check_media_type(stated.get(b"content-type", ""), scope["path"])

    def _is_own(self, host: str) -> bool:
        """Return whether a host is this kit's: an address, which no page has, or a known name."""
        name = _without_port(host.lower())
        known = self._hosts
        return _ANY in known or name in known or name.endswith(".localhost") or is_address(name)

    def _check_origin(self, method: str, host: str, stated: dict[bytes, str]) -> None:
        origin = stated.get(b"origin")
        if origin is not None:
            if not (_ANY in self._origins or origin.lower() in self._origins):
                found = _ORIGIN.fullmatch(origin.lower())
                if not found or _plain(found[2], found[1]) != _plain(host.lower(), found[1]):
                    raise _foreign(f"the request comes from a page of {shown(origin)}")
            return
        # Browsers omit the origin in requests that only read; a link to the kit's page is harmless.
        site = stated.get(b"sec-fetch-site", "none")
        opens = method == "GET" and stated.get(b"sec-fetch-mode") == "navigate"
        if site in {"cross-site", "same-site"} and not opens and _ANY not in self._origins:
            raise _foreign("the request comes from another site's page")


def _stated(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, str]:
    return {name: value.decode("latin-1") for name, value in headers if name in _SHOWN}


def _check_media_type(stated: str, path: str) -> None:
    media_type = stated.partition(";")[0].strip().lower()
    # A page cannot send a body without a type to another origin without the browser's check.
    if not media_type or _JSON.fullmatch(media_type):
        return
    # A browser states the origin of a page that sends a form, which was checked before.
    if media_type == MEDIA_TYPE and path in _FORM_PATHS:
        return
    raise failure("REQUEST_MEDIA_TYPE", f"the body is {shown(media_type)}, expected JSON")


def _without_port(host: str) -> str:
    """Return a host's name or address, without brackets and without a final dot."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]) if found else ""


def _plain(host: str, scheme: str) -> str:
    return host.removesuffix(_DEFAULT_PORTS[scheme])


def _foreign(message: str) -> MealkitError:
    return failure("REQUEST_ORIGIN", message)

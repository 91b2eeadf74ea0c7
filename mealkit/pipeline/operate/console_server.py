"""The web server of ``mealkit console``: a page for all deployments and kits of this machine.

It listens on loopback only. The page itself has no facts; its script sends the token that was
printed at the start, which no other user and no other page knows. Requests for another host, and
of another page, are refused, so a page that has changed its DNS entry gets nothing. Changes need
``--allow-changes``. The standard library's server suffices: one person looks at it.
"""

import hmac
import json
import secrets
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from mealkit.addresses import LOOPBACK
from mealkit.errors import MealkitError, failure
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import stop_kit
from mealkit.pipeline.operate.console_view import history_view, host_view, own_host
from mealkit.progress import SILENT
from mealkit.untrusted import UntrustedError, parse_json_object

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# The page shares its style and two scripts with the page of kits.
_OF_KITS = ("mealkit.runtime.api", "page_parts")
_OWN = ("mealkit.pipeline.operate", "console_parts")
_FILES = {
    "/": (*_OWN, "console.html", "text/html"),
    "/page/console.js": (*_OWN, "console.js", "text/javascript"),
    "/page/page.css": (*_OF_KITS, "page.css", "text/css"),
    "/page/elements.js": (*_OF_KITS, "elements.js", "text/javascript"),
    "/page/requests.js": (*_OF_KITS, "requests.js", "text/javascript"),
}
_MOST_BODY_BYTES = 16 * 1024
# A connection that sends nothing for so long is closed.
_IDLE_SECONDS = 30.0
_WHY_CHARACTERS = 1000


@dataclass(slots=True)
class Console:
    """What the console of one home shows and does."""

    home: Home
    allow_changes: bool
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What the page's script sends; printed once."""
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str) -> Any:
        """Return the value of a path.

        Raises:
            RequestError: ``ROUTE_UNKNOWN``.
            DeploymentError: there is no such deployment.
        """
        name = path.removeprefix("/api/history/")
        if path == "/api/host":
            return {"allow_changes": self.allow_changes, **host_view(self.home)}
        if name != path:
            return history_view(name, self.home)
        raise failure("ROUTE_UNKNOWN", f"there is no endpoint {path[:100]}")

    def change(self, path: str, values: Mapping[str, Any]) -> Any:
        """Do what a button asks for, one change at a time; return what was done.

        Raises:
            RequestError: ``ROUTE_UNKNOWN``, ``REQUEST_INVALID``.
            DeploymentError: ``CONSOLE_READ_ONLY``; a gate stopped it; there is no such deployment
                or revision.
            ContainerError: there is no such kit.
        """
        if not self.allow_changes:
            raise failure("CONSOLE_READ_ONLY", "the console was started without --allow-changes")
        doing = {
            "/api/rollback": self._roll_back,
            "/api/repair": self._repair,
            "/api/down": self._take_down,
            "/api/stop": self._stop,
        }.get(path)
        if doing is None:
            raise failure("ROUTE_UNKNOWN", f"there is no endpoint {path[:100]}")
        name, why = values.get("name"), values.get("why", "")
        number = values.get("revision")
        if not isinstance(name, str) or not isinstance(why, str) or len(why) > _WHY_CHARACTERS:
            raise failure("REQUEST_INVALID", "name and why must be texts", where="name")
        if number is not None and type(number) is not int:
            raise failure("REQUEST_INVALID", "revision must be a number", where="revision")
        with self._changing:
            return {"said": doing(name, number, why)}

    def _roll_back(self, name: str, number: int | None, why: str) -> str:
        from mealkit.pipeline.operate.deployment_site import this_site
        from mealkit.pipeline.operate.upgrading import RollbackRequest, rollback

        site = this_site(self.home, SILENT)
        changed = rollback(RollbackRequest(name, number, why or "from the console"), site)
        return f"revision {changed.deployment.serving} of {name} has the traffic"

    def _repair(self, name: str, _number: int | None, _why: str) -> str:
        from mealkit.pipeline.operate.deployment_site import this_site
        from mealkit.pipeline.operate.upgrading import repaired

        found = repaired(name, this_site(self.home, SILENT))
        serving = "down" if found.serving is None else f"whole: revision {found.serving} serves"
        return f"{name} is {serving}"

    def _take_down(self, name: str, _number: int | None, _why: str) -> str:
        from mealkit.pipeline.operate.deployment_site import this_site
        from mealkit.pipeline.operate.upgrading import down

        down(name, this_site(self.home, SILENT), purge=False, wait=False)
        return f"{name} is down"

    def _stop(self, name: str, _number: int | None, _why: str) -> str:
        return f"{name} {stop_kit(name, timeout_seconds=None, home=self.home)}"


class ConsoleServer(ThreadingHTTPServer):
    """Serves a console on loopback."""

    daemon_threads = True

    def __init__(self, console: Console, port: int) -> None:
        """Listen on a port; 0: any free one.

        Raises:
            ContainerError: ``PORT_TAKEN``.
        """
        self.console = console
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise failure("PORT_TAKEN", f"cannot listen on port {port}: {error}") from error

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing about a browser that has closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def url(self) -> str:
        """The address with the token; a browser does not send what is after the ``#``."""
        return f"http://{LOOPBACK}:{self.server_port}/#{self.console.token}"


class _Handler(BaseHTTPRequestHandler):
    server: ConsoleServer
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server_version = "mealkit"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with a file of the page, or with a value."""
        self._answer(self.server.console.answer)

    def do_POST(self) -> None:
        """Do a change."""
        self._answer(self._change)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Log nothing: the address in the line may have what a user typed."""

    def _change(self, path: str) -> Any:
        if self.headers.get("Content-Type") != "application/json":
            raise failure("REQUEST_MEDIA_TYPE", "the body must be application/json")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BODY_BYTES:
            raise failure("REQUEST_TOO_LARGE", "the body is too large, or has no length")
        try:
            values = parse_json_object(self.rfile.read(int(length)))
        except UntrustedError as error:
            raise failure("REQUEST_INVALID", f"the body cannot be read: {error}") from error
        return self.server.console.change(path, values)

    def _answer(self, make: Callable[[str], Any]) -> None:
        path = urlsplit(self.path).path
        try:
            self._check_page()
            if self.command == "GET" and path in _FILES:
                package, folder, name, kind = _FILES[path]
                self._send(200, files(package).joinpath(folder, name).read_bytes(), kind)
                return
            self._check_token()
            self._send(200, json.dumps(make(path)).encode(), "application/json")
        except MealkitError as error:
            found = error.problems[0]
            # An unread body would be taken for the next request.
            self.close_connection = True
            content = json.dumps({"error": found.as_json()}).encode()
            status = 401 if found.code == "REQUEST_KEY" else 403 if _is_foreign(found.code) else 409
            self._send(status, content, "application/json")

    def _check_page(self) -> None:
        """Raise unless the request comes from this console's page, or from the address bar."""
        host = self.headers.get("Host", "")
        if not own_host(host):
            raise failure("REQUEST_HOST", "the request is for another host")
        origin = self.headers.get("Origin")
        site = self.headers.get("Sec-Fetch-Site", "none")
        if (origin is not None and origin != f"http://{host}") or site not in {
            "none",
            "same-origin",
        }:
            raise failure("REQUEST_ORIGIN", "the request comes from another page")

    def _check_token(self) -> None:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        expected = self.server.console.token
        is_right = hmac.compare_digest(given.strip().encode(), expected.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise failure(
                "REQUEST_KEY",
                "the request does not have the console's token",
                hint="open the address that mealkit console has printed",
            )

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _is_foreign(code: str) -> bool:
    return code in {"REQUEST_HOST", "REQUEST_ORIGIN", "CONSOLE_READ_ONLY"}


def serve(console: Console, port: int, tell: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; ``tell`` gets the address.

    Raises:
        ContainerError: ``PORT_TAKEN``.
    """
    with ConsoleServer(console, port) as server:
        tell(server.url)
        with suppress(KeyboardInterrupt):
            server.serve_forever()

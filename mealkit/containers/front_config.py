"""Writes the configuration of a deployment's front, and reads back the target that it states.

A front is HAProxy. Its servers are *slots*: one has the address of the revision that gets new
requests, others may still have those of old revisions whose answers are not complete.

Nothing is buffered, changed or retried once a revision has received a request.
"""

import json
import re
from dataclasses import dataclass

from mealkit.containers.container import CONTAINER_NAME
from mealkit.errors import failure, problem
from mealkit.worker.openai_errors import error_for_callers

BACKEND = "kit"
SLOTS = tuple(f"r{number}" for number in range(1, 17))
"""More than one: a revision whose streams go on keeps its slot, whatever is routed meanwhile."""

FRONT_PORT = 8000
CONFIG_FOLDER = "/etc/mealkit-front"
CONFIG_NAME = "haproxy.cfg"
CONTROL_FOLDER = "/run/mealkit-front"
CONTROL_NAME = "control.sock"

NOWHERE = "127.0.0.1:1"
"""The address of a slot that was never used."""

# The first line of the file states it in a form that is read back.
_STATED = re.compile(
    r"# target: (?:none|(?P<slot>r[0-9]{1,2}) (?P<name>[a-zA-Z0-9_.-]{1,128}):(?P<port>[0-9]{1,5})"
    r" at (?P<address>[0-9.]{7,15}))"
)


@dataclass(frozen=True, slots=True)
class Target:
    """A container of the front's network, and the port that it listens on."""

    name: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read ``container:port``.

        Raises:
            KitError: ``USAGE``, it is not a target.
        """
        name, _, port = text.rpartition(":")
        valid = CONTAINER_NAME.fullmatch(name) and port.isascii() and port.isdecimal()
        if not valid or not 1 <= int(port[:6]) <= 65535:
            raise failure("USAGE", f"{text!r} is not a container and its port, such as demo-1:8000")
        return cls(name, int(port))

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Route:
    """The target of new requests, its address in the front's network, and its slot."""

    target: Target
    address: str
    slot: str


def stated_route(text: str) -> Route | None:
    """Return the route that a configuration states; None if it is none, or cannot be read."""
    match = _STATED.fullmatch(text.partition("\n")[0])
    if match is None or match["slot"] not in SLOTS:
        return None
    return Route(Target(match["name"], int(match["port"])), match["address"], match["slot"])


def front_config(route: Route | None) -> str:
    """Return the configuration with which a front starts; only the route's slot gets requests."""
    stated = f"{route.slot} {route.target} at {route.address}" if route else "none"
    lines = [f"# target: {stated}", *_HEAD.splitlines(), *map(_answer, _ANSWERS.items())]
    return "\n".join([*lines, *_TAIL.splitlines(), *(_server(slot, route) for slot in SLOTS), ""])


def _server(slot: str, route: Route | None) -> str:
    if route and slot == route.slot:
        return f"    server {slot} {route.address}:{route.target.port}"
    return f"    server {slot} {NOWHERE} disabled"


# Each line that is not obvious:
# - bufsize, maxhdr: the gateway's own limits of a request's head are smaller.
# - server, tunnel: the kit itself limits how long an answer takes.
# - http-keep-alive, http-request: the gateway's own limits of idle and slow callers.
# - retries: only of connections that were not established, one second apart.
# - abortonclose: a caller that has gone away ends its request, so the engine does not go on for it.
_HEAD = f"""
global
    stats socket {CONTROL_FOLDER}/{CONTROL_NAME} mode 666 level admin
    stats timeout 10s
    maxconn 4096
    nbthread 2
    tune.bufsize 73728
    tune.http.maxhdr 512
    hard-stop-after 30s

defaults
    mode http
    timeout connect 2s
    timeout client 24h
    timeout server 24h
    timeout tunnel 24h
    timeout http-request 30s
    timeout http-keep-alive 75s
    option http-no-delay
    option abortonclose
    option redispatch 1
    retries 5
"""

_TAIL = f"""
frontend front
    bind :{FRONT_PORT}
    http-request set-var(txn.id) uuid()
    http-request set-var(txn.id) req.hdr(x-request-id) if {{ req.hdr(x-request-id) -m found }}
    default_backend {BACKEND}

backend {BACKEND}
    balance roundrobin
    default-server pool-purge-delay 5s
"""

# What HAProxy answers itself: status, mealkit's code, and the message.
_ANSWERS = {
    502: "the revision closed the connection before it answered",
    503: "no revision of this deployment answers now",
    504: "the revision did not answer in time",
}


def _answer(item: tuple[int, str]) -> str:
    status, message = item
    content = error_for_callers(problem("REVISION_AWAY", message))
    text = json.dumps({"error": {**content, "request_id": "REQUEST_ID"}}).replace("%", "%%")
    # HAProxy writes the id as a JSON string without its quotes.
    text = text.replace("REQUEST_ID", "%[var(txn.id),json(utf8s)]")
    retry = "hdr Retry-After 5 " if status == 503 else ""
    return (
        f"    http-error status {status} content-type application/json {retry}"
        f"hdr X-Request-Id '%[var(txn.id)]' lf-string '{text}'"
    )

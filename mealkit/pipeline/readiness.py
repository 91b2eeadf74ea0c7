"""Waiting until a started kit is ready, or telling why it never will be."""

import json
import time

from mealkit.containers.model import Container, Exit
from mealkit.errors import CATALOGUE, MealkitError, Problem, failure, failures, problem
from mealkit.pipeline.containers import ContainerClient
from mealkit.pipeline.listener import Listener

_POLL_SECONDS = 0.1
_SHOWN_LOG_LINES = 15


def wait_until_ready(
    client: ContainerClient, container: Container, timeout_seconds: float, listener: Listener
) -> None:
    """Poll readiness, telling every new reason.

    Raises:
        MealkitError: what the container stated before it ended, or how it ended
            (``CONTAINER_FAILED``).
        ContainerError: it is not ready in time, and runs on (``CONTAINER_TIMEOUT``).
    """
    import httpx2

    deadline = time.monotonic() + timeout_seconds
    told = ""
    with httpx2.Client(timeout=5.0, trust_env=False) as http:
        while time.monotonic() < deadline:
            try:
                answer = http.get(f"{container.url}/v1/health/ready")
                state = answer.json()
                if answer.status_code == 200:
                    return
                reason = f"{state.get('status')}: {state.get('reason')}"
            except (httpx2.TransportError, ValueError):
                reason = told
            if reason != told:
                listener.phase(reason)
                told = reason
            seen = client.state(container.name)
            if seen.exit is not None:
                raise _ended(client, container.name, seen.exit)
            time.sleep(_POLL_SECONDS)
    raise failure(
        "CONTAINER_TIMEOUT",
        f"not ready after {timeout_seconds:.0f} seconds: {told or 'no answer'}",
        where=container.name,
        hint=f"mealkit logs {container.name}; mealkit stop {container.name}",
    )


def _ended(client: ContainerClient, name: str, how: Exit) -> MealkitError:
    """Return the problem that a container stated before it ended, or else how it ended."""
    lines = list(client.logs(name, tail=200))
    client.remove(name)
    for line in reversed(lines):
        stated = _stated_problem(line)
        if stated is not None:
            return failures([stated])
    tail = "\n".join(lines[-_SHOWN_LOG_LINES:])
    return failure("CONTAINER_FAILED", f"{name} {how}; its log ends with\n{tail}")


def _stated_problem(line: str) -> Problem | None:
    try:
        form = json.loads(line)
        if form["code"] in CATALOGUE:
            return problem(
                form["code"], form["message"], hint=form.get("hint"), where=form.get("where")
            )
    except (ValueError, KeyError, TypeError):
        pass
    return None

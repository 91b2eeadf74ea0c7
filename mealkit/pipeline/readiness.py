"""Waiting until a started kit is ready, or telling why it never will be, and whose problem it is.

A problem that the container stated wins; else what its log, its end, or the client's refusal means.
"""

import time

from mealkit.containers.model import Container, Exit
from mealkit.errors import MealkitError, failure, failures
from mealkit.pipeline.containers import ContainerClient
from mealkit.pipeline.listener import Listener
from mealkit.runtime.process import read_problem
from mealkit.runtime.recognition import Evidence, recognise

_POLL_SECONDS = 0.1
_LOG_LINES = 400
_SHOWN_LOG_LINES = 15


def wait_until_ready(
    client: ContainerClient,
    container: Container,
    timeout_seconds: float,
    listener: Listener,
    memory_bytes: int | None = None,
) -> None:
    """Poll readiness, telling every new reason; ``memory_bytes`` is the container's limit.

    Raises:
        MealkitError: what the container stated before it ended, or what its end means, or how it
            ended (``CONTAINER_FAILED``).
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
                raise _ended(client, container.name, seen.exit, memory_bytes)
            time.sleep(_POLL_SECONDS)
    raise failure(
        "CONTAINER_TIMEOUT",
        f"not ready after {timeout_seconds:.0f} seconds: {told or 'no answer'}",
        where=container.name,
        hint=f"mealkit logs {container.name}; mealkit stop {container.name}",
    )


def explained(refusal: MealkitError) -> MealkitError:
    """Say what a container client's refusal means, if its daemon's words are known."""
    first = refusal.problems[0]
    if first.code not in {"CLIENT_REFUSED", "CONTAINER_FAILED"}:
        return refusal
    found = recognise(Evidence(first.message))
    return refusal if found is None else failures([found])


def _ended(client: ContainerClient, name: str, how: Exit, memory_bytes: int | None) -> MealkitError:
    """Return the problem that a container stated before it ended, or else what its end means."""
    lines = list(client.logs(name, tail=_LOG_LINES))
    client.remove(name)
    for line in reversed(lines):
        stated = read_problem(line)
        if stated is not None:
            return failures([stated])
    evidence = Evidence(
        log="\n".join(lines),
        exit_code=how.code,
        signal_name=how.signal,
        killed_for_memory=how.out_of_memory,
        memory_limit_bytes=memory_bytes,
    )
    found = recognise(evidence)
    if found is not None:
        return failures([found])
    tail = "\n".join(lines[-_SHOWN_LOG_LINES:])
    return failure("CONTAINER_FAILED", f"{name} {how}; its log ends with\n{tail}")

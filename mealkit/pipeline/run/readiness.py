"""Waits until a started kit is ready, or raises the problem that prevents it, with its owner.

A problem that the container stated comes first; else mealkit derives one from the log, the exit, or
the client's error. If the image was not built here, its statements count only as the kit's own
claims (``runtime.attribution``).
"""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

from mealkit.containers.container import Container, Exit
from mealkit.errors import (
    CATALOGUE,
    QUOTED,
    MealkitError,
    Owner,
    Problem,
    failure,
    failures,
    problem,
)
from mealkit.evidence.recognition import Evidence, is_measured, recognise
from mealkit.pipeline.machine.clients import ContainerClient
from mealkit.progress import Progress
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_base import LockedDebianBase
from mealkit.runtime.attribution import Attribution
from mealkit.runtime.life.worker_process import read_problem
from mealkit.untrusted import UntrustedError, parse_json

_POLL_SECONDS = 0.1
_POLL_TIMEOUT_SECONDS = 5.0
_READY = "/v1/health/ready"
# The signals of operators and the kernel; a crash ends with other signals.
_FROM_OUTSIDE = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"})
LOG_LINES = 400
"""How many lines of a log the cause of an end may be above the last one."""
_SHOWN_LOG_LINES = 15
_SHOWN_CHARACTERS = 300
# The state of a container takes a few hundred bytes.
_STATE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Trust:
    """What mealkit knows about a container without its own statements."""

    attribution: Attribution
    built_here: bool
    """Whether its gateway is ours: built by this command, on a base that mealkit builds."""
    memory_bytes: int | None = None
    """Its memory limit."""
    stated_bytes: int | None = None
    """The memory that its kit asks for."""

    @classmethod
    def of(cls, lock: Lock, *, built_here: bool, memory_bytes: int | None) -> "Trust":
        """Return the trust for the lock of a container's image."""
        is_ours = built_here and isinstance(lock.runtime.base, LockedDebianBase)
        claims = (
            Attribution.of(lock) if is_ours else Attribution(runs_own_code=True, uses_gpu=False)
        )
        return cls(claims, is_ours, memory_bytes, lock.requirements.memory_bytes)

    @classmethod
    def of_image(cls, memory_bytes: int | None) -> "Trust":
        """Return the trust for a container whose image was not built by this command."""
        claims = Attribution(runs_own_code=True, uses_gpu=False)
        return cls(claims, built_here=False, memory_bytes=memory_bytes)


def wait_until_ready(
    client: ContainerClient,
    container: Container,
    timeout_seconds: float,
    progress: Progress,
    trust: Trust,
) -> None:
    """Poll readiness, and report every new reason why the kit is not ready.

    Raises:
        MealkitError: what the container stated before it ended, or what its end means, or how it
            ended (``CONTAINER_FAILED``).
        ContainerError: it is not ready in time, and still runs (``CONTAINER_TIMEOUT``).
    """
    import httpx2

    deadline = time.monotonic() + timeout_seconds
    told = ""
    with _asked(client, container) as ask:
        while time.monotonic() < deadline:
            try:
                with ask() as (status, chunks):
                    if status == 200:
                        return
                    reason = _reason(chunks, deadline)
            except (httpx2.HTTPError, UntrustedError):
                reason = told
            except (http.client.HTTPException, OSError, MealkitError):
                reason = told  # without a port; a container that has ended is found below
            if reason != told:
                progress.phase(reason)
                told = reason
            seen = client.state(container.name)
            if seen.exit is not None:
                raise _ended(client, container.name, seen.exit, trust)
            time.sleep(_POLL_SECONDS)
    raise failure(
        "CONTAINER_TIMEOUT",
        f"not ready after {timeout_seconds:.0f} seconds: {told or 'no answer'}",
        where=container.name,
        hint=f"mealkit logs {container.name}; mealkit stop {container.name}",
    )


_Asked = Callable[[], AbstractContextManager[tuple[int, Iterator[bytes]]]]


@contextmanager
def _asked(client: ContainerClient, container: Container) -> Iterator[_Asked]:
    """Yield what asks for readiness: at the port, or by a connection if the kit has none."""
    import httpx2

    @contextmanager
    def at_the_port() -> Iterator[tuple[int, Iterator[bytes]]]:
        with http_client.stream("GET", container.url + _READY) as answer:
            yield answer.status_code, answer.iter_raw()

    @contextmanager
    def without_a_port() -> Iterator[tuple[int, Iterator[bytes]]]:
        connection = http.client.HTTPConnection("localhost")
        connection.sock = client.connection(container.name, _POLL_TIMEOUT_SECONDS)
        with closing(connection):
            connection.request("GET", _READY)
            answer = connection.getresponse()
            yield answer.status, iter(lambda: answer.read1(4096), b"")

    with httpx2.Client(timeout=_POLL_TIMEOUT_SECONDS, trust_env=False) as http_client:
        yield at_the_port if container.port else without_a_port


def explained(refusal: MealkitError) -> MealkitError:
    """Return the meaning of a container client's error if it is known, else the error."""
    first = refusal.problems[0]
    if first.code not in {"CLIENT_REFUSED", "CONTAINER_FAILED"}:
        return refusal
    found = recognise(Evidence(first.message))
    # The message contains names from the image, which must not change the owner.
    if found is None or found.owner not in {first.owner, Owner.KIT_AUTHOR}:
        return refusal
    return failures([found])


def _reason(chunks: Iterator[bytes], deadline: float) -> str:
    """Return a container's state as one line.

    Raises:
        UntrustedError: the bytes are not a valid state.
    """
    data = b""
    for chunk in chunks:
        data += chunk
        if len(data) > _STATE_BYTES or time.monotonic() > deadline:
            raise UntrustedError("it is too long, or arrives too slowly")
    state = parse_json(data)
    if not isinstance(state, dict):
        raise UntrustedError("it is not an object")
    said = f"{state.get('status')}: {state.get('reason')}"
    return " ".join(said[:_SHOWN_CHARACTERS].split())


def _ended(client: ContainerClient, name: str, how: Exit, trust: Trust) -> MealkitError:
    """Return the problem that a container stated before it ended, or else what its end means."""
    lines = list(client.logs(name, tail=LOG_LINES))
    client.remove(name)
    return failures([problem_of_end(lines, how, f"{name} {how}", trust)])


def problem_of_end(lines: list[str], how: Exit, what: str, trust: Trust) -> Problem:
    """Return the problem that the log of an ended container states, or else what its end means.

    ``what`` says in words which container ended, and how.
    """
    code = _code_of(how, trust)
    stated = _stated(lines, how)
    if stated is not None:
        return stated if trust.built_here else trust.attribution.of_end(stated, code, what)
    evidence = Evidence(
        log="\n".join(lines),
        exit_code=how.code,
        signal_name=how.signal,
        killed_for_memory=how.out_of_memory,
        memory_limit_bytes=trust.memory_bytes,
        memory_stated_bytes=trust.stated_bytes,
    )
    found = recognise(evidence)
    if found is not None:
        return found if is_measured(evidence) else trust.attribution.of_end(found, code, what)
    tail = "".join(f"\n{QUOTED}{line}" for line in lines[-_SHOWN_LOG_LINES:])
    return problem(code, f"{what}; its log ends with{tail}")


def _code_of(how: Exit, trust: Trust) -> str:
    """Return the code for an exit without a known cause. The kit is responsible for its own exit.

    A signal counts as sent from outside only if the program is our gateway; other programs can
    choose an exit code that means a signal.
    """
    was_ended = how.signal in _FROM_OUTSIDE and trust.built_here
    return "CONTAINER_FAILED" if how.code is None or was_ended else "ENGINE_START"


def _stated(lines: list[str], how: Exit) -> Problem | None:
    """Return the problem in a gateway's last line, if its class matches the exit code."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    stated = read_problem(last)
    if stated is None or CATALOGUE[stated.code].error.exit_code != how.code:
        return None
    return stated

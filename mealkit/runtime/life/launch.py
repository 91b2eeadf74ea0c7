"""Runs a container from start to end: socket, lock, preflight, weights, worker, ready.

A failed start prints one problem as a line of JSON, also writes it to the termination log, and
exits with the code of its class. Slow imports follow after the socket answers, and the engine's
start comes before everything that only callers need.
"""

import errno
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.addresses import LOOPBACK
from mealkit.digest import Digest
from mealkit.errors import (
    CATALOGUE,
    MealkitError,
    Owner,
    OwnerContact,
    Problem,
    failure,
    problem,
)
from mealkit.runtime.gateway.keys import Keys
from mealkit.runtime.life import isolation
from mealkit.runtime.life.edits import Edits, edits_of
from mealkit.runtime.life.listening import listening, passed_listener
from mealkit.runtime.life.waiting_server import WaitingServer
from mealkit.runtime.life.worker_plan import Spawned, WorkerPlan, placed_plan
from mealkit.runtime.settings import Settings, read_settings
from mealkit.runtime.state import Lifecycle, Status
from mealkit.runtime.watch.journal import Journal

if TYPE_CHECKING:
    from mealkit.preflight.facts import Facts
    from mealkit.recipe.lock import Lock

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

# Kubernetes stores at most this much of a container's termination log.
_TERMINATION_BYTES = 4096

Begun = tuple[WorkerPlan, Spawned, int]


def main(environment: Mapping[str, str], begun: Begun | None = None) -> int:
    """Serve one kit until it is stopped or fails; return the exit code.

    ``begun`` is the worker, if it was started already and waits to be released, with the
    listening socket for callers.
    """
    launch = _Launch(environment, begun)
    _heed_stops()
    try:
        code = launch.serve()
    except MealkitError as error:
        fault = error.problems[0]
    except Exception as error:  # noqa: BLE001  the last line of the log is always a problem
        fault = problem("INTERNAL", f"mealkit failed with {type(error).__name__}: {error}")
    else:
        _write_termination_log(launch.settings, b"")
        return code
    return report(fault, launch.lock, launch.settings, launch.journal)


class _Launch:
    """The state of a start."""

    def __init__(self, environment: Mapping[str, str], begun: Begun | None) -> None:
        self.journal = Journal("info")
        self.settings: Settings | None = None
        self.lock: Lock | None = None
        self._environment = environment
        self._begun = begun
        self._began = time.monotonic()
        self._facts: Facts | None = None
        self._hashed: set[Digest] = set()

    def serve(self) -> int:
        settings = self.settings = read_settings(self._environment)
        journal = self.journal = Journal(settings.log_level)
        edits = edits_of(self._environment)
        with ExitStack() as stack:
            _, _, opened = self._begun or (None, None, None)
            listener = stack.enter_context(_listen(settings, self._environment, opened))
            host, port = _address_of(listener)
            if passed_listener(self._environment) is not None:
                # The socket's address, not the setting, decides whether callers need a key.
                settings = self.settings = replace(settings, host=host)
            journal.info("listening", host=host, port=port)
            for what in isolation.missing:
                journal.warning("isolation", missing=what)
            keys = Keys(settings)
            if edits is not None:
                return self._serve_versions(listener, keys, edits)
            code = self._serve_kit(listener, keys, None)
            assert code is not None  # noqa: S101  no author edits the kit
            return code

    def _serve_versions(self, listener: socket.socket, keys: Keys, edits: Edits) -> int:
        """Serve each version of a kit that its author edits, at the same socket, until a stop.

        A version that cannot start is no end: its problem is the answer, until the next one.
        """
        while True:
            _heed_stops()
            self.journal.info("version", name=edits.begin())
            self._began = time.monotonic()
            try:
                with listener.dup() as own:  # the server closes its socket
                    code = self._serve_kit(own, keys, edits)
            except MealkitError as error:
                self._tell_until_edited(error.problems[0], listener, edits)
            except Exception as error:  # noqa: BLE001  as in ``main``
                message = f"mealkit failed with {type(error).__name__}: {error}"
                self._tell_until_edited(problem("INTERNAL", message), listener, edits)
            else:
                if code is not None:
                    return code

    def _tell_until_edited(self, fault: Problem, listener: socket.socket, edits: Edits) -> None:
        """Answer with the problem of a version that cannot start, until there is another one."""
        _heed_stops()
        self.journal.error("failed", **fault.as_json())
        lifecycle = Lifecycle(time.monotonic)
        lifecycle.move(Status.FAILED, fault.sentence, fault)
        with listener.dup() as own, WaitingServer(own, lifecycle):
            edits.wait()

    def _serve_kit(self, listener: socket.socket, keys: Keys, edits: Edits | None) -> int | None:
        """Serve the kit in the folder; None: its author has saved another version."""
        settings, journal = self.settings, self.journal
        assert settings is not None  # noqa: S101  they are read before
        lifecycle = Lifecycle(time.monotonic, self._began)
        lifecycle.listeners.append(lambda moved: journal.info("state", **moved.as_json()))
        plan, worker, _ = self._begun or (None, None, None)
        with ExitStack() as stack:
            take_over = _take_nothing
            if self._facts is None:  # else it is soon: callers wait in the kernel's queue
                take_over = stack.enter_context(WaitingServer(listener, lifecycle)).leave
            data = _read(settings)
            lock = self.lock = _lock(data, settings)
            if edits is not None:  # its imports take longer than the gateway's next start
                plan = _plan(data, settings, self._environment)
                worker = Spawned(plan.command, plan.environment)
                stack.callback(worker.drop)
            # Imports about half of the modules.
            from mealkit.runtime.life.start import Startup  # noqa: PLC0415

            plan = plan or _plan(data, settings, self._environment)
            if plan.state != str(settings.state):
                journal.warning("state", closed=str(settings.state), used=plan.state)
                settings = self.settings = replace(settings, state=Path(plan.state))
            startup = Startup(settings, lock, journal, lifecycle, plan, worker, edits, self._hashed)
            # Asking a GPU's driver takes longer than all else when a kit is edited.
            self._facts = startup.check_machine(self._environment, self._facts)
            stack.enter_context(startup.verification)
            # Imports the other half: the server and the modules that it needs.
            from mealkit.runtime.life.serving import ServingContainer  # noqa: PLC0415

            code = ServingContainer(startup, keys).serve(listener, take_over)
            if code is None:
                self._hashed |= startup.verification.hashed
            return code


def report(fault: Problem, lock: "Lock | None", settings: Settings | None, journal: Journal) -> int:
    """Print the problem that ends the process, for people and programs; return the exit code.

    The last line has ``code``, ``message``, ``hint``, ``where`` and ``owner``; for a problem with
    numbers also ``measured`` and ``required``; and the kit's ``contact`` if its author is the
    owner.
    """
    if lock and fault.owner is Owner.KIT_AUTHOR:
        owner = lock.about.owner
        contact = OwnerContact(owner.team, owner.contact, owner.support)
        fault = replace(fault, contact=contact)
    content = fault.as_json()
    _write_termination_log(settings, _shortened(content))
    journal.final(content)
    return CATALOGUE[fault.code].error.exit_code


def _shortened(content: dict[str, Any]) -> bytes:
    data = json.dumps(content).encode()
    if len(data) <= _TERMINATION_BYTES:
        return data
    short = {**content, "message": str(content["message"])[:500]}
    return json.dumps(short).encode()[:_TERMINATION_BYTES]


def _write_termination_log(settings: Settings | None, data: bytes) -> None:
    """Write the reason of the container's end; empty after success.

    All users may write to that file, so its content may come from the kit's own process.
    """
    if settings is None:
        return
    # Non-blocking, because the file may be a pipe. Kubernetes creates the file; elsewhere it is
    # missing, or this user cannot write to it.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK | os.O_NOFOLLOW
    with suppress(OSError):
        descriptor = os.open(settings.termination_log, flags, 0o644)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)


def _take_nothing() -> None:
    """Take the socket over from no other server."""


def _heed_stops() -> None:
    """End on a signal. Process 1 has no default actions: without it, a stop is lost."""
    for number in _STOP_SIGNALS:
        signal.signal(number, _leave)


def _leave(_number: int, _frame: object) -> None:
    # mealkit stop sends SIGINT, and a stop is no failure.
    raise SystemExit(0)


def _listen(
    settings: Settings, environment: Mapping[str, str], opened: int | None
) -> socket.socket:
    """Return the listening socket for callers: the open one, or a new one."""
    try:
        if opened is None:
            opened = listening(environment, settings.host, settings.port)
        return socket.socket(fileno=opened)
    except OSError as error:
        code = "PORT_TAKEN" if error.errno == errno.EADDRINUSE else "CONFIG_INVALID"
        message = f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}"
        hint = "set MEALKIT_HOST and MEALKIT_PORT to a free address"
        raise failure(code, message, where="MEALKIT_PORT", hint=hint) from error


def _address_of(listener: socket.socket) -> tuple[str, int]:
    """Return where callers come from; a Unix socket is on this machine, and has no port."""
    if listener.family == socket.AF_UNIX:
        return LOOPBACK, 0
    host, port, *_ = listener.getsockname()
    return host, port


def _read(settings: Settings) -> bytes:
    path = settings.lock_path
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"the lock cannot be read: {error.strerror}"
        hint = "build the image again, or mount the kit's lock at this path"
        raise failure("LOCK_MISSING", message, where=str(path), hint=hint) from error


def _lock(data: bytes, settings: Settings) -> "Lock":
    # Imports pydantic.
    from mealkit.recipe.lock import read_lock  # noqa: PLC0415

    return read_lock(data, where=str(settings.lock_path))


def _plan(data: bytes, settings: Settings, environment: Mapping[str, str]) -> WorkerPlan:
    """Plan the worker, after the first attempt has failed."""
    try:
        return placed_plan(json.loads(data), environment)
    except ValueError as error:
        raise failure("CONFIG_INVALID", str(error), where="MEALKIT_STATE") from error
    except OSError as error:
        raise failure(
            "DISK_DENIED",
            f"the state folder cannot be written to: {error.strerror}",
            where=str(settings.state),
            hint=f"mount a folder that user {os.geteuid()} may write to: an emptyDir in Kubernetes,"
            f" or docker run --tmpfs {settings.state}:exec,uid={os.geteuid()},mode=0700",
        ) from error

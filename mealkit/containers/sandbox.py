"""A container client for machines without an engine: Linux namespaces by util-linux's unshare.

It limits memory only if this user may create control groups; ``limits`` reports what it does not
isolate. A kit has no network: it gets only the socket that its callers connect to.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from mealkit.containers.byte_connection import ByteConnection
from mealkit.containers.container import LINE_BYTES, Container, Exit, Restart, RunSpec, UnpackedRoot
from mealkit.containers.container_files import ContainerContents, unpacked_files
from mealkit.containers.local_door import call_door, open_door
from mealkit.containers.revision_control import CONTROL
from mealkit.containers.sandbox_groups import memory_parent
from mealkit.containers.sandbox_launch import end, launch
from mealkit.containers.sandbox_plan import CLIENT, is_filtered, namespaces, open_listener, plan
from mealkit.containers.sandbox_record import Record, create, locked_state, records
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import disk_errors

_FOLLOW_SECONDS = 0.2
_CALLERS = "callers"
"""The socket of a kit without a port, in its record's folder, which only this user may enter."""


class Sandbox:
    """A container client without a daemon; each sandbox has its own keeper process."""

    takes = UnpackedRoot
    name = CLIENT

    def __init__(self, state: Path) -> None:
        """Keep records of sandboxes in ``state``, a folder of this user alone."""
        self._state = state

    def available(self) -> str | None:
        """Return the reason why this client cannot be used here; None if it can."""
        try:
            namespaces()
        except MealkitError as error:
            return error.problems[0].message
        return None

    def limits(self) -> tuple[str, ...]:
        """Return what this client does not isolate, as sentences."""
        found = [
            "a kit that fetches files shares this machine's network",
            "the size of the log is not limited",
            "only GPUs' device files are there: the image must contain the driver's libraries",
        ]
        if not is_filtered():
            found.append("system calls are not filtered on this processor")
        if memory_parent() is None:
            found.append("memory is not limited: this user may not create control groups")
        return tuple(found)

    def start(self, spec: RunSpec) -> Container:
        """Start a sandbox that outlives this process; nothing is left behind if that fails.

        Raises:
            ContainerError: PORT_TAKEN, CONTAINER_EXISTS, CONTAINER_FAILED, CLIENT_REFUSED or
                CLIENT_UNAVAILABLE.
            PreflightError: HW_NO_GPU, GPUs are requested and the machine has none.
        """
        allowed = namespaces()
        self._check_name(spec.name)
        with ExitStack() as stack:
            sockets, port = [], 0
            if spec.is_published:
                listener = stack.enter_context(open_listener(spec.host_address, spec.host_port))
                sockets, port = [listener], int(listener.getsockname()[1])
            with locked_state(self._state):
                record = create(self._state, *plan(spec, port, allowed))
            try:
                if not spec.is_published:
                    with disk_errors(record.folder):
                        door = open_door(record.folder, _CALLERS, socket.SOCK_STREAM)
                        sockets.append(stack.enter_context(door))
                if spec.network is not None:
                    with disk_errors(record.folder):
                        sockets.append(stack.enter_context(open_door(record.folder, CONTROL)))
                launch(record, [item.fileno() for item in sockets])
            except BaseException:
                end(record)
                record.delete()
                raise
        return record.now()

    def _check_name(self, name: str) -> None:
        """Raise if the name is taken, before the port is checked."""
        with locked_state(self._state):
            is_taken = (self._state / name).exists()
        if is_taken:
            raise failure("CONTAINER_EXISTS", f"the sandbox already has a kit named {name!r}")

    def list(self) -> list[Container]:
        """List the sandboxes that were started here, running or ended, by name."""
        return [record.now() for record in records(self._state)]

    def state(self, name: str) -> Container:
        """Read the state of one sandbox again.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        return self._find(name).now()

    def folder(self, name: str) -> Path:
        """Return the folder of a sandbox's record, in which its control socket is.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        return self._find(name).folder

    def connection(self, name: str, seconds: float) -> ByteConnection:
        """Return a connection to a kit that has no port of this machine.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
            OSError: the kit does not accept it.
        """
        return call_door(self._find(name).folder, _CALLERS, seconds, socket.SOCK_STREAM)

    def process(self, name: str) -> int | None:
        """Return the number of its first process on this machine; None if it has ended.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        return self._find(name).live_pid()

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield the log's lines, the last ``tail`` of them; with ``follow``, until it ends.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        record = self._find(name)
        with record.log.open("rb") as log:
            if tail is not None:
                # Complete lines only: a later write completes the last line.
                last = deque((len(line) for line in _pieces(log, 0)), maxlen=tail)
                log.seek(-sum(last), os.SEEK_END)
            held = b""
            while True:
                ended = not follow or record.now().exit is not None  # before the last read
                for piece in _pieces(log, len(held)):
                    held += piece
                    if held.endswith(b"\n") or len(held) >= LINE_BYTES:
                        yield held.removesuffix(b"\n").decode(errors="replace")
                        held = b""
                if ended:
                    break
                time.sleep(_FOLLOW_SECONDS)
            if held:
                yield held.decode(errors="replace")

    @contextmanager
    def contents(self, name: str) -> Iterator[ContainerContents]:
        """Open the files of a sandbox and those mounted into it.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        yield unpacked_files(self._find(name).plan())

    def stop(self, name: str, timeout_seconds: int) -> Exit:
        """Send SIGINT, and SIGKILL after ``timeout_seconds``; return how it ended.

        A sandbox that has already ended is not changed. Its log stays until ``remove``.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND; CLIENT_REFUSED if it belongs to another user.
        """
        record = self._find(name)
        end(record, timeout_seconds)
        return record.now().exit or Exit()

    def set_restart(self, name: str, policy: Restart) -> None:
        """Do nothing: no process is there to start a sandbox again (see mealkit status)."""

    def remove(self, name: str) -> None:
        """Remove a sandbox's record and log; kill it if it still runs.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        record = self._find(name)
        end(record)
        record.delete()

    def _find(self, name: str) -> Record:
        return Record.read(self._state / Path(name).name)


def _pieces(log: BinaryIO, begun_bytes: int) -> Iterator[bytes]:
    """Yield the lines up to the end of the log; ``begun_bytes`` of the first were read before.

    A line that exceeds the limit is yielded in pieces.
    """
    most = LINE_BYTES - begun_bytes
    while piece := log.readline(most):
        yield piece
        most = LINE_BYTES

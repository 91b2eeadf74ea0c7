"""The address of a deployment in the sandbox: one listening socket that its revisions share.

A small process keeps the socket open. ``route`` gives a copy of it to one revision, and takes that
of the others; while two have it, both answer. No connection in the kernel's queue is lost, and
without a revision the callers wait there.

Raises DeploymentError if the socket cannot be kept, or a revision does not answer.
"""

import contextlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mealkit.containers import address_keeper
from mealkit.containers.front_control import NO_TOTALS, Totals
from mealkit.containers.front_spec import FrontSpec
from mealkit.containers.local_door import call_door, open_door
from mealkit.containers.revision_control import lent_socket, place_of, tell
from mealkit.containers.sandbox import Sandbox
from mealkit.containers.sandbox_plan import open_listener
from mealkit.errors import MealkitError, failure
from mealkit.files.whole import disk_errors

_DOOR = "door"
_ANSWER_SECONDS = 10.0
_MOST_BYTES = 256


class SandboxFront:
    """The front of a deployment; ``folder`` is its own.

    Only one process may change it at a time: that which has locked the deployment. Each method may
    be repeated after a kill at any point.
    """

    def __init__(self, sandbox: Sandbox, spec: FrontSpec, folder: Path) -> None:
        """Prepare; nothing is opened yet."""
        self._sandbox = sandbox
        self._spec = spec
        self._folder = folder
        # Those that may have the socket: written before they get it.
        self._members = folder / "members"

    @property
    def network(self) -> str:
        """The name with which a revision says that it is a deployment's."""
        return self._spec.network

    def ensure(self) -> None:
        """Open the socket, and start the process that keeps it, unless it is there.

        If that process was killed, a revision that has the socket gives a copy.

        Raises:
            ContainerError: ``PORT_TAKEN`` or ``CLIENT_REFUSED``.
            DeploymentError: ``FRONT_FAILED``.
        """
        with disk_errors(self._folder):
            self._members.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Who reaches the door can answer the deployment's callers.
            self._folder.chmod(0o700)
        running = self._running_members()
        wanted = (self._spec.host_address, self._spec.host_port)
        if self._kept() == f"{wanted[0]} {wanted[1]}":
            return
        self._end_keeper()
        with self._lent(running) or open_listener(*wanted) as listener:
            self._start_keeper(listener)

    def route(self, target: str | None) -> None:
        """Give the socket to a revision (``name:port``), and then take that of all others.

        Raises:
            ContainerError: ``CONTAINER_NOT_FOUND``, the revision does not run.
            DeploymentError: ``FRONT_FAILED``; the others have the socket as before.
        """
        name = None if target is None else _name_of(target)
        if name is not None:
            self._join(name)
        for other in self._running_members():
            if other != name:
                self._take_from(other)

    def is_serving(self, target: str) -> bool:
        """Return whether a revision has the socket, and no other one has it.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        running = self._running_members()
        having = {name: tell(self._sandbox.folder(name), "state").place for name in running}
        with self._taken() as listener:
            place = place_of(listener)
        return {name: at for name, at in having.items() if at} == {_name_of(target): place}

    def sessions(self, target: str) -> int:
        """Return how many requests a revision is answering, or is about to get.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        return self.totals(target).sessions

    def totals(self, target: str) -> Totals:
        """Return what a revision answered since it has the socket; nothing, if it never had it.

        Raises:
            DeploymentError: ``FRONT_FAILED``.
        """
        name = _name_of(target)
        if name not in self._running_members():
            return NO_TOTALS
        return tell(self._sandbox.folder(name), "state").totals

    def remove(self) -> None:
        """Close the socket, after the revisions have ended."""
        self._end_keeper()
        with disk_errors(self._folder):
            if self._folder.exists():
                shutil.rmtree(self._folder)

    def _join(self, name: str) -> None:
        if self._sandbox.state(name).exit is not None:
            raise failure("CONTAINER_NOT_FOUND", f"{name} does not run")
        with disk_errors(self._folder):
            (self._members / name).touch()
        with self._taken() as listener:
            place = place_of(listener)
            state = tell(self._sandbox.folder(name), "join", listener.fileno())
        if state.place != place:
            message = f"{name} accepts callers at {state.place}, expected {place}"
            raise failure("FRONT_FAILED", message)

    def _take_from(self, name: str) -> None:
        """Take the socket; a revision that does not give it is ended, so it gets no callers."""
        try:
            if tell(self._sandbox.folder(name), "leave").place is None:
                return
        except MealkitError:
            pass
        self._sandbox.stop(name, 0)

    def _running_members(self) -> list[str]:
        """Return those that may have the socket, and forget those that have ended."""
        found = []
        if self._members.is_dir():
            running = {item.name for item in self._sandbox.list() if item.exit is None}
            for path in sorted(self._members.iterdir()):
                if path.name in running:
                    found.append(path.name)
                else:
                    path.unlink(missing_ok=True)
        return found

    def _lent(self, members: list[str]) -> socket.socket | None:
        place = (self._spec.host_address, self._spec.host_port)
        for name in members:
            with contextlib.suppress(MealkitError):
                lent = lent_socket(self._sandbox.folder(name), place)
                if lent is not None:
                    return lent
        return None

    def _start_keeper(self, listener: socket.socket) -> None:
        spec = self._spec
        with disk_errors(self._folder), open_door(self._folder, _DOOR) as door:
            subprocess.run(
                [
                    *(sys.executable, "-I", "-S", address_keeper.__file__),
                    *(str(listener.fileno()), str(door.fileno())),
                    f"{spec.host_address} {spec.host_port}",
                ],
                check=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[listener.fileno(), door.fileno()],
                start_new_session=True,  # the terminal's Ctrl-C is not for it
            )

    def _end_keeper(self) -> None:
        with (
            contextlib.suppress(OSError),
            call_door(self._folder, _DOOR, _ANSWER_SECONDS) as caller,
        ):
            caller.send(b"end")
            caller.recv(1)  # it closes the connection when it ends

    def _kept(self) -> str | None:
        """Return the address that is kept, as it was asked for; None: none is."""
        try:
            with call_door(self._folder, _DOOR, _ANSWER_SECONDS) as caller:
                place, listener = _received(caller)
        except OSError:
            return None
        listener.close()
        return place

    @contextmanager
    def _taken(self) -> Iterator[socket.socket]:
        try:
            with call_door(self._folder, _DOOR, _ANSWER_SECONDS) as caller:
                _, listener = _received(caller)
        except OSError as error:
            raise failure(
                "FRONT_FAILED",
                f"the socket of {self._spec.name} is not kept: {error.strerror or error}",
                where=str(self._folder / _DOOR),
            ) from error
        with listener:
            yield listener


def _received(caller: socket.socket) -> tuple[str, socket.socket]:
    caller.send(b"take")
    place, passed, _, _ = socket.recv_fds(caller, _MOST_BYTES, 1)
    if not passed:
        raise ConnectionResetError("its process has ended")
    return place.decode(), socket.socket(fileno=passed[0])


def _name_of(target: str) -> str:
    return target.rpartition(":")[0]

"""A container client for machines without an engine: Linux namespaces by util-linux's unshare.

Refuses what it cannot keep: it shares the host's network, and limits memory only where it can.
"""

import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from mealkit.containers.model import Container, Exit, RunSpec, UnpackedRoot
from mealkit.containers.sandbox_launch import end, launch
from mealkit.containers.sandbox_memory import memory_parent
from mealkit.containers.sandbox_plan import CLIENT, namespaces, plan, port_for
from mealkit.containers.sandbox_record import Record, create, locked, records
from mealkit.errors import MealkitError, failure

_FOLLOW_SECONDS = 0.2


class Sandbox:
    """A container client without a daemon; each sandbox has a keeper process of its own."""

    takes = UnpackedRoot
    name = CLIENT

    def __init__(self, state: Path) -> None:
        """Keep records of sandboxes in ``state``, a folder of this user alone."""
        self._state = state

    def available(self) -> str | None:
        """Say why this client cannot be used here; None if it can. Tries it for real."""
        try:
            namespaces()
        except MealkitError as error:
            return error.problems[0].message
        return None

    def limits(self) -> tuple[str, ...]:
        """Say, in sentences, what this client does not isolate."""
        found = [
            "the kit shares this machine's network and can reach what this user can",
            "processes and log size are not limited",
            "of GPUs it gets the device files alone: the driver's libraries must be in the image",
        ]
        if memory_parent() is None:
            found.append("memory is not limited: this user may not make control groups")
        return tuple(found)

    def start(self, spec: RunSpec) -> Container:
        """Start a sandbox that outlives this process; nothing is left behind if that fails.

        Raises:
            ContainerError: PORT_TAKEN, CONTAINER_EXISTS, CONTAINER_FAILED, CLIENT_REFUSED or
                CLIENT_UNAVAILABLE.
            PreflightError: HW_NO_GPU, GPUs are asked for and there are none.
        """
        allowed = namespaces()
        try:
            with locked(self._state):
                if (self._state / spec.name).exists():
                    raise failure(
                        "CONTAINER_EXISTS", f"the sandbox has a kit named {spec.name!r} already"
                    )
                taken = {item.port for item in self.list() if item.exit is None}
                record = create(self._state, *plan(spec, port_for(spec, taken), allowed))
        except OSError as error:
            raise failure(
                "DISK_DENIED", f"{self._state} cannot be written: {error.strerror}"
            ) from error
        try:
            launch(record)
        except BaseException:
            end(record)
            record.delete()
            raise
        return record.now()

    def list(self) -> list[Container]:
        """List what was started here, running or ended, by name."""
        return [record.now() for record in records(self._state)]

    def state(self, name: str) -> Container:
        """Look at one sandbox again.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        return self._find(name).now()

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield the log's lines, the last ``tail`` of them; with ``follow``, until it ends.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        record = self._find(name)
        with record.log.open("rb") as log:
            if tail is not None:
                # Whole lines only: what is written later completes a line that is not.
                last = deque((len(line) for line in log), maxlen=tail)
                log.seek(-sum(last), os.SEEK_END)
            held = b""
            while True:
                ended = not follow or record.now().exit is not None  # before the last read
                *whole, held = (held + log.read()).split(b"\n")
                yield from (line.decode(errors="replace") for line in whole)
                if ended:
                    break
                time.sleep(_FOLLOW_SECONDS)
            if held:
                yield held.decode(errors="replace")

    def stop(self, name: str, timeout_seconds: int) -> Exit:
        """Send SIGTERM, and SIGKILL after ``timeout_seconds``; return how it ended.

        A sandbox that ended before is left as it is. Its log stays until ``remove``.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND; CLIENT_REFUSED if it is another user's.
        """
        record = self._find(name)
        end(record, timeout_seconds)
        return record.now().exit or Exit()

    def remove(self, name: str) -> None:
        """Remove a sandbox's record and log, killing it if it still runs.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        record = self._find(name)
        end(record)
        record.delete()

    def _find(self, name: str) -> Record:
        return Record.read(self._state / Path(name).name)

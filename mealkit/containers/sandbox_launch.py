"""Starts the processes of a recorded sandbox, and ends them.

A start either runs the entrypoint, or raises the step that failed and leaves no process behind.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from mealkit.containers import sandbox_keeper
from mealkit.containers.sandbox_record import Record, has_ended
from mealkit.errors import failure

_KILL_SECONDS = 30  # for the kernel to end a large process
_LOG_TAIL_BYTES = 2000


def launch(record: Record, sockets: Sequence[int]) -> None:
    """Start the keeper, and return once the entrypoint runs.

    The sandbox gets ``sockets``: the one that callers connect to comes first.

    Raises:
        ContainerError: CONTAINER_FAILED with the step that failed.
    """
    setup = os.open(record.folder / "setup", os.O_RDONLY | os.O_NONBLOCK)
    alive, held_by_keeper = os.pipe()
    with _closing(setup), _closing(alive):
        with _closing(held_by_keeper), record.log.open("ab") as log:
            subprocess.run(
                [
                    *(sys.executable, "-I", "-S", Path(sandbox_keeper.__file__)),
                    *("daemonize", str(record.folder), str(held_by_keeper)),
                    *map(str, sockets),
                ],
                check=True,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[held_by_keeper, *sockets],
                start_new_session=True,  # the terminal's Ctrl-C is not for the sandbox
            )
        problem = _wait_for_setup(setup, alive)
    if problem is None:
        tail = record.log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        problem = f"{tail or 'unshare ended without a message'}"
    if problem:
        raise failure(
            "CONTAINER_FAILED",
            f"the sandbox cannot be set up: {problem}",
            hint="run it with an engine: mealkit run --client docker",
        )


def end(record: Record, grace_seconds: float = 0) -> None:
    """Send SIGINT if a grace period is given, then SIGKILL; return when all processes have ended.

    Raises:
        ContainerError: CLIENT_REFUSED, it belongs to another user, or the kernel cannot end it.
    """
    # The end of the first process ends all others; if it does not exist yet, that of the keeper.
    for name in ("init", "keeper"):
        opened = record.process(name)
        if opened is None:
            continue
        with _closing(opened):
            try:
                if name == "init" and grace_seconds:
                    signal.pidfd_send_signal(opened, signal.SIGINT)
                    has_ended(opened, grace_seconds)
                if name == "init" or not _kept_well(record, opened):
                    signal.pidfd_send_signal(opened, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError as error:
                raise failure(
                    "CLIENT_REFUSED", f"the sandbox {record.container.name!r} is another user's"
                ) from error
            if not has_ended(opened, _KILL_SECONDS):
                raise failure(
                    "CLIENT_REFUSED", f"the kernel does not end {record.container.name!r}"
                )


def _kept_well(record: Record, keeper: int) -> bool:
    """Give the keeper, if any, time to record how its sandbox ended."""
    return (record.folder / "init.json").exists() and has_ended(keeper, _KILL_SECONDS)


def _wait_for_setup(setup: int, alive: int) -> str | None:
    """Return "" if the entrypoint runs, the failure, or None if the init never started.

    A pipe that no process has opened for writing yet is silent; it hangs up when its writer, the
    init, execs or ends. The keeper ends after the init.
    """
    poll = select.poll()
    poll.register(setup, select.POLLIN)
    poll.register(alive, 0)  # a hang-up is always reported
    said = b""
    while True:
        events = dict(poll.poll())
        if setup in events:
            more = os.read(setup, 4096)
            if not more:
                return said.decode(errors="replace")
            said += more
        elif alive in events:
            return None


@contextmanager
def _closing(opened: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(opened)

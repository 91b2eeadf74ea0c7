"""Supervises one sandbox until it ends, and records its exit code.

It also runs after its parent process has exited. It is a script that imports only the standard
library, and is run by path in its own session. It ends with the sandbox, and the sandbox with it.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
_CGROUP_BUSY_SECONDS = 2.0


def daemonize(folder: Path, alive: int, sockets: list[int]) -> None:
    """Detach from the parent process, and run this script again in a new pid namespace.

    ``alive`` is a descriptor that no other process has: the parent sees it close at the end.
    ``sockets`` are for the sandbox: the one that callers connect to comes first.
    """
    if os.fork():
        os._exit(0)  # the parent waits for this process, so that it has no child to reap later
    plan = json.loads((folder / "plan.json").read_bytes())
    numbers = [str(number) for number in (alive, *sockets)]
    command = [*plan["around"], *plan["python"], __file__, "keep", str(folder), *numbers]
    os.execv(command[0], command)  # noqa: S606


def keep(folder: Path, alive: int, sockets: list[int]) -> None:
    """Run the sandbox in ``folder/plan.json``; write ``exit.json`` when it ends."""
    os.set_inheritable(alive, False)  # noqa: FBT003
    # Handled, not ignored, because ignoring is inherited; the sandbox itself reacts to a shutdown.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    write(folder / "keeper.json", myself())
    plan = json.loads((folder / "plan.json").read_bytes())
    groups = [Path(group) for group in plan["groups"]]

    def tie() -> None:
        # Otherwise a sandbox whose keeper was killed would continue, and its exit would be lost.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for group in groups:
            (group / "cgroup.procs").write_text("0")

    command = [*plan["within"], *plan["python"], plan["init"], str(folder), *map(str, sockets)]
    # The first child stays process 1 of the pid namespace: unshare and init only exec.
    child = subprocess.Popen(
        command,
        preexec_fn=tie,  # noqa: PLW1509 - there is one thread
        pass_fds=sockets,
    )
    # Closed here, so that callers see one close when the sandbox closes it.
    for opened in sockets:
        os.close(opened)
    status = child.wait()
    ending = {
        "code": status if status >= 0 else None,
        "signal": -status if status < 0 else None,
        "out_of_memory": any(_was_out_of_memory(group) for group in groups),
        "ended_seconds": time.time(),
    }
    for group in groups:
        _remove_group(group)
    write(folder / "exit.json", ending)


def myself() -> dict[str, int]:
    """Return the pid and start time of this process; a pid alone may be reused."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return {"pid": os.getpid(), "start_ticks": int(fields[19])}


def write(path: Path, value: object) -> None:
    """Write JSON atomically."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(json.dumps(value))
    partial.replace(path)


def _was_out_of_memory(group: Path) -> bool:
    for name in ("memory.events", "memory.oom_control"):  # cgroup v2, v1
        with contextlib.suppress(OSError):
            lines = (group / name).read_text().splitlines()
            return any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines)
    return False


def _remove_group(group: Path) -> None:
    """Remove a control group; the kernel may need a moment to empty it."""
    until = time.monotonic() + _CGROUP_BUSY_SECONDS
    while time.monotonic() < until:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)
        else:
            return


if __name__ == "__main__":
    run = keep if sys.argv[1] == "keep" else daemonize
    run(Path(sys.argv[2]), int(sys.argv[3]), [int(number) for number in sys.argv[4:]])

"""Ties a worker to the gateway: ``python -m mealkit.runtime.leash PARENT COMMAND...``.

Asks the kernel to kill this process when its parent ends, then becomes the command. Done here and
not between fork and exec, where a process with threads may not run Python. Standard library only.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(arguments: list[str]) -> None:
    """Become the command; end instead if the parent has already ended."""
    parent, command = int(arguments[0]), arguments[1:]
    _die_with_parent()
    # It may have ended before it was asked for.
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606  the command is the gateway's own


def _die_with_parent() -> None:
    try:
        import ctypes  # noqa: PLC0415  a minimal Python may lack it
    except ImportError:
        # In a container nothing is lost: with its first process the kernel ends all others.
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.exit(1)

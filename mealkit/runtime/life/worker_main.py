"""The worker's process: ``python -m mealkit.runtime.life.worker_main PARENT OPTIONS...``.

The kernel kills it when its parent, the gateway, ends. It imports the engine's packages, waits on
its standard input until it may load, and then runs ``mealkit.worker.host`` with the same options.
Standard library only until then.
"""

import gc
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_FIRST_PROCESS = 1


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM; return the exit code. End at once if the parent has already ended."""
    parent, options = int(arguments[0]), arguments[1:]
    # When process 1 of a container ends, the kernel kills all others.
    if parent != _FIRST_PROCESS:
        _die_with_parent()
    # The parent may have ended before the call.
    if os.getppid() != parent:
        return 1
    gc.disable()  # nothing of what is imported is garbage
    from mealkit.worker import host  # noqa: PLC0415  the parent comes first

    _prepare(options[options.index("--worker") + 1])
    gc.enable()
    released = os.read(0, 1)
    return host.main(options) if released else 1


def _prepare(worker: str) -> None:
    """Import the worker's packages. If this fails, loading fails too and reports the problem."""
    from mealkit.worker.host import import_worker  # noqa: PLC0415

    try:
        prepare = getattr(import_worker(worker), "prepare", None)
        if prepare:
            prepare()
    except Exception:  # noqa: BLE001  an engine may raise anything
        return


def _die_with_parent() -> None:
    try:
        import ctypes  # noqa: PLC0415  a minimal Python may lack it
    except ImportError:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

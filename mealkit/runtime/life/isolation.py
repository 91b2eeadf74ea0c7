"""Isolates the worker, which runs the kit's code, from the gateway, which sees callers' keys.

In most containers both run as the same user, so the user does not separate them. The gateway
therefore closes its memory, files and environment to processes of its user. It starts workers from
a thread that has dropped its rights, because a process inherits the rights of the thread that
starts it. If root starts the container, the worker also gets a separate user.

This module is imported first. ``missing`` lists the measures that the kernel does not support.
"""

import _thread
import os
import resource
import stat
import struct
import sys
from collections.abc import Callable, Iterator

from mealkit.paths import DEFAULTS, USER_ID
from mealkit.seccomp import filter_program, worker_refusals

# mypy reads it; at run time it would cost more than the rest of this.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FIRST_PROCESS = 1

# <linux/prctl.h>
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP = 4, 22, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
# <linux/capability.h>
_CAPABILITY_VERSION_3 = 0x20080522
# The gateway's capabilities to manage another user's worker: CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL,
# CAP_SETGID, CAP_SETUID.
_NEEDED_CAPABILITIES = 0b1110_0011
# <linux/landlock.h>: no signals to and no abstract sockets of processes outside, since version 6.
_LANDLOCK_VERSION, _LANDLOCK_SCOPES = 6, 0b11
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
# System calls for one thread, because the C library's functions change all threads: capset,
# setgroups, setresgid, setresuid.
_THREAD_CALLS = {"x86_64": (126, 116, 119, 117), "aarch64": (91, 159, 149, 147)}

missing: list[str] = []
"""The measures that are not available here, in words."""


def close_process() -> None:
    """Close this process to other processes of its user, and switch core dumps off.

    Its memory, environment and open files belong to root afterwards (proc(5)). Tracing it and
    copying its descriptors need root's rights (ptrace(2), pidfd_getfd(2)).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        libc = _libc()
    except ImportError:
        missing.append("this Python has no ctypes: the engine can read the gateway's memory")
        return
    _attempt("a closed memory", lambda: libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


class Confinement:
    """A thread that has dropped the rights that workers must not have, and starts processes."""

    def __init__(self) -> None:
        self._turn = _thread.allocate_lock()
        self._asked = _thread.allocate_lock()
        self._answered = _thread.allocate_lock()
        self._start: Callable[[], int] | None = None
        self._pid = 0
        self._error: Exception | None = None

    def start(self, start: Callable[[], int]) -> int:
        """Call ``start`` in the thread; return the id of the process that it has started.

        Raises:
            OSError: the process cannot be started.
        """
        with self._turn:
            if self._start is None:
                self._asked.acquire()
                self._answered.acquire()
                # The thread lives as long as this process, because workers end together with it.
                _thread.start_new_thread(self._serve, ())
            self._start, self._error = start, None
            self._asked.release()
            self._answered.acquire()
            if self._error is not None:
                raise self._error
            return self._pid

    def _serve(self) -> None:
        try:
            confine()
        except (ImportError, OSError) as error:
            missing.append(f"the engine keeps its user's rights: {error}")
        while True:
            self._asked.acquire()
            assert self._start is not None  # noqa: S101  set by ``start``
            try:
                self._pid = self._start()
            except Exception as error:  # noqa: BLE001  ``start`` raises it
                self._error = error
            self._answered.release()


CONFINEMENT = Confinement()
"""The thread that starts workers."""


def confine() -> None:
    """Drop, for this thread and the processes it starts, the rights that workers must not have.

    Raises:
        ImportError: this Python has no ctypes.
    """
    libc = _libc()
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # the right to do so is missing, or the kernel has no more capabilities
    calls = _THREAD_CALLS.get(os.uname().machine)
    if calls and has_two_users():
        _attempt("a user of its own", lambda: _become(libc, calls))
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if calls:
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        _attempt("no rights", lambda: libc.syscall(calls[0], header, bytes(24)))
    _attempt("no new rights", lambda: libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _confine_reach(libc)
    _filter_calls(libc)


def has_two_users() -> bool:
    """Return whether gateway and worker get two users: for root in a container, with its rights.

    The other user must also be able to read the worker's files.
    """
    if os.getpid() != _FIRST_PROCESS or os.geteuid() != 0:
        return False
    if _capabilities() & _NEEDED_CAPABILITIES != _NEEDED_CAPABILITIES or not _is_mapped():
        return False
    places = {**DEFAULTS, **os.environ}
    needed = (places["MEALKIT_MODELS"], places["MEALKIT_ETC"], sys.executable)
    return all(_others_reach(path) for path in needed)


def _others_reach(path: str) -> bool:
    """Return whether all users can read a path and every folder above it."""
    path = os.path.realpath(path)
    try:
        while path != "/":
            if not os.stat(path).st_mode & stat.S_IXOTH:  # noqa: PTH116
                return False
            path = os.path.dirname(path)  # noqa: PTH120
    except OSError:
        return False
    return True


def _capabilities() -> int:
    for name, value in _fields("/proc/self/status"):
        if name == "CapEff:":
            return int(value, 16)
    return 0


def _is_mapped() -> bool:
    """Return whether the worker's user exists in this user namespace."""
    with open("/proc/self/uid_map") as lines:  # noqa: PTH123  pathlib takes long to import
        ranges = [[int(word) for word in line.split()] for line in lines]
    return any(first <= USER_ID < first + count for first, _, count in ranges)


def _fields(path: str) -> Iterator[tuple[str, str]]:
    with open(path) as lines:  # noqa: PTH123
        for line in lines:
            name, _, value = line.partition("\t")
            yield name, value


def _become(libc: "Any", calls: tuple[int, ...]) -> int:
    """Change to the worker's user, in this thread only; return the result of the calls."""
    _, setgroups, setresgid, setresuid = calls
    user = USER_ID
    done: int = libc.syscall(setgroups, 0, None)
    done = done or libc.syscall(setresgid, user, user, user)
    return done or libc.syscall(setresuid, user, user, user)


def _confine_reach(libc: "Any") -> None:
    """Prevent this thread and its children from tracing or signalling other processes.

    An additional measure: kernels before 6.12 lack parts of it, and container engines may block
    it.
    """
    if libc.syscall(_LANDLOCK_CREATE, None, 0, 1) < _LANDLOCK_VERSION:
        return
    ruleset = libc.syscall(_LANDLOCK_CREATE, struct.pack("=QQQ", 0, 0, _LANDLOCK_SCOPES), 24, 0)
    if ruleset >= 0:
        libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)
        os.close(ruleset)


def _filter_calls(libc: "Any") -> None:
    import ctypes  # noqa: PLC0415

    program = filter_program(worker_refusals(os.getpid(), os.getpgrp()), os.uname().machine)
    if program is None:
        missing.append(f"system calls are not filtered on {os.uname().machine}")
        return
    held = ctypes.create_string_buffer(program, len(program))
    form = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
    _attempt(
        "a filter of system calls",
        lambda: libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, form, 0, 0),
    )


def _libc() -> "Any":
    import ctypes  # noqa: PLC0415  a minimal Python may lack it

    return ctypes.CDLL(None, use_errno=True)


def _attempt(what: str, call: Callable[[], int]) -> None:
    import ctypes  # noqa: PLC0415

    if call() != 0:
        missing.append(f"the kernel refuses {what}: {os.strerror(ctypes.get_errno())}")

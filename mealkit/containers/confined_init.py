"""Runs one untrusted program in its own namespaces, without rights, network or home.

It is the first process of a confined run, imports only the standard library, and is started by
`confined` with the host's Python. There are three processes. This one creates the namespaces. Its
child is their process 1, and stays until the program ends or the parent process exits. The
grandchild gives up all rights and becomes the program. When process 1 ends, the kernel ends all
remaining processes in the namespaces.

It stops at the first step that fails: a program that is not confined is not run.
"""

import ctypes
import json
import os
import platform
import resource
import select
import sys
from typing import Any

from mealkit.containers.confined_calls import filter_program
from mealkit.containers.sandbox_init import (
    MNT_DETACH,
    MS_BIND,
    MS_REC,
    PIVOT_ROOT,
    PR_SET_NO_NEW_PRIVS,
    call,
    drop_bounding_set,
    libc,
    make_read_only,
    mount,
)

_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWPID = 0x08000000, 0x10000000, 0x20000000
_CLONE_NEWNET = 0x40000000
_NAMESPACES = (
    *(_CLONE_NEWNS, _CLONE_NEWCGROUP, _CLONE_NEWUTS),
    *(_CLONE_NEWIPC, _CLONE_NEWPID, _CLONE_NEWNET),
)
_MS_PRIVATE = 1 << 18
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAP_AMBIENT = 4, 22, 47
_PR_CAP_AMBIENT_CLEAR_ALL, _SECCOMP_MODE_FILTER = 4, 2
_CAPABILITY_VERSION_3 = 0x20080522
_HOST_NAME = b"confined"
_NOT_STARTED = 125


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def main() -> None:
    """Run the order in the JSON of the first argument; write the result to its ``report`` pipe.

    The result is one JSON object: ``step`` and ``errno`` of a failure, or the program's ``code``,
    which is negative for a signal.
    """
    orders = json.loads(sys.argv[1])
    try:
        _make_namespaces(orders)
        first = os.fork()
    except OSError as error:
        _report(orders, error)
        os._exit(_NOT_STARTED)
    if first == 0:
        try:
            _keep(orders)
        finally:
            os._exit(0)
    _close_streams()
    os.waitpid(first, 0)
    os._exit(0)


def _make_namespaces(orders: dict[str, Any]) -> None:
    user, caller, group = orders["user_id"], os.geteuid(), os.getegid()
    flags = sum(_NAMESPACES) | (_CLONE_NEWUSER if orders["own_users"] else 0)
    call("make namespaces", libc.unshare(flags))
    if orders["own_users"]:
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {caller} 1")
        _write("/proc/self/gid_map", f"{user} {group} 1")


def _write(path: str, text: str) -> None:
    opened = os.open(path, os.O_WRONLY)
    try:
        os.write(opened, text.encode())
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"write {path}") from error
    finally:
        os.close(opened)


def _keep(orders: dict[str, Any]) -> None:
    """Be process 1: start the program, and stay until it ends or the parent closes its pipe."""
    # The program must not read the memory of this process, which has more rights.
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    child = os.fork()
    if child == 0:
        try:
            _become(orders)
        except OSError as error:
            _report(orders, error)
        finally:
            os._exit(_NOT_STARTED)
    _close_streams()
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(orders["alive"], 0)  # a hang-up is always reported
    if ended in dict(poll.poll()):
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        _say(orders, {"code": code})


def _become(orders: dict[str, Any]) -> None:
    """Confine this process permanently, and become the program."""
    root = orders["root"]
    mount("none", "/", flags=MS_REC | _MS_PRIVATE)
    mount(root, root, flags=MS_BIND)
    make_read_only(root)
    os.chdir(root)
    call("pivot", libc.syscall(PIVOT_ROOT, b".", b"."))
    call("detach the host's files", libc.umount2(b".", MNT_DETACH))
    os.chdir("/")
    call("set the host name", libc.sethostname(_HOST_NAME, len(_HOST_NAME)))
    _close_all_but(orders["report"])
    for name, limit in orders["limits"].items():
        _limit(getattr(resource, name), limit)
    _drop_rights(orders)
    _filter_calls()
    command = [os.fsencode(part) for part in orders["command"]]
    try:
        os.execve(command[0], command, orders["environment"])  # noqa: S606
    except OSError as error:
        raise OSError(error.errno, error.strerror, "start") from error


def _close_all_but(report: int) -> None:
    """Keep only the three streams open; the report closes when the program starts."""
    os.closerange(3, report)
    os.closerange(report + 1, max(report + 1, os.sysconf("SC_OPEN_MAX")))
    os.set_inheritable(report, False)  # noqa: FBT003


def _limit(kind: int, limit: int) -> None:
    hard = resource.getrlimit(kind)[1]
    least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (least, least))


def _drop_rights(orders: dict[str, Any]) -> None:
    drop_bounding_set()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if not orders["own_users"]:
        user = orders["user_id"]
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call("drop capabilities", libc.capset(header, (ctypes.c_uint32 * 6)()))
    call("refuse new rights", libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _filter_calls() -> None:
    program = filter_program(platform.machine())
    found = _Filter(len(program) // 8, program)
    result = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(found), 0, 0)
    call("filter system calls", result)


def _close_streams() -> None:
    """Close the program's streams here, so that they end with the program."""
    for number in (0, 1, 2):
        os.close(number)


def _report(orders: dict[str, Any], error: OSError) -> None:
    _say(orders, {"step": str(error.filename or error.strerror or error), "errno": error.errno})


def _say(orders: dict[str, Any], form: dict[str, Any]) -> None:
    os.write(orders["report"], json.dumps(form).encode())

"""A kit's own code that tries whatever a process can do to another one of its user.

``predict`` returns, for each attempt, what came of it: the name of the error, or ``done``.
"""

import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
CALLS = {
    "keyctl": 250, "add_key": 248, "request_key": 249, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "mount": 165, "setns": 308, "unshare": 272, "clone3": 435,
    "io_uring_setup": 425, "pidfd_open": 434, "pidfd_getfd": 438, "pidfd_send_signal": 424,
    "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "ptrace": 101, "process_vm_readv": 310,
    "process_vm_writev": 311, "prlimit64": 302, "kcmp": 312, "process_madvise": 440,
}  # fmt: skip
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
CLONE_NEWUSER, F_SETSIG, F_SETOWN_EX, SIOCSPGRP = 0x10000000, 10, 15, 0x8902
AF_ALG, AF_VSOCK = 38, 40


class Handler:
    """Attempts everything."""

    def predict(self, gateway: int, port: int) -> dict[str, str]:
        """Return what came of each attempt against a process and its port."""
        return {
            **files(gateway),
            **memory(gateway),
            **signals(gateway),
            **kernel(),
            **ports(port),
            "environment": " ".join(sorted(os.environ)),
            "descriptors": " ".join(sorted(kinds())),
            "rights": rights(),
        }


def files(gateway: int) -> dict[str, str]:
    """Open and change what /proc shows of a process."""
    found = {}
    for name in ("mem", "environ", "maps", "auxv", "syscall", "stack", "pagemap", "personality"):
        for task in ("", f"task/{gateway}/"):
            path = f"/proc/{gateway}/{task}{name}"
            if Path(path).exists():
                found[f"read {task}{name}"] = outcome(lambda path=path: Path(path).read_bytes())
    for name in ("mem", "oom_score_adj", "coredump_filter", "comm", "timerslack_ns"):
        path = f"/proc/{gateway}/{name}"
        found[f"write {name}"] = outcome(lambda path=path: Path(path).write_text("1"))
    for name in ("fd", "map_files", "fdinfo"):
        path = f"/proc/{gateway}/{name}"
        found[f"list {name}"] = outcome(lambda path=path: list(Path(path).iterdir()))
    for name in ("cwd", "exe", "root", "ns/net"):
        path = f"/proc/{gateway}/{name}"
        found[f"link {name}"] = outcome(lambda path=path: Path(path).readlink())
    for number in range(40):
        path = f"/proc/{gateway}/fd/{number}"
        if outcome(lambda path=path: os.open(path, os.O_RDONLY)) == "done":
            found[f"open fd/{number}"] = "done"
    return found


def memory(gateway: int) -> dict[str, str]:
    """Trace a process, read its memory, and take its files."""
    pidfd = call("pidfd_open", gateway, 0)
    taken = {
        f"pidfd_getfd {number}": failed("pidfd_getfd", pidfd, number, 0) for number in range(40)
    }
    room = ctypes.create_string_buffer(64)
    vector = struct.pack("PN", ctypes.addressof(room), 64)
    return {
        "ptrace attach": failed("ptrace", PTRACE_ATTACH, gateway, 0, 0),
        "ptrace seize": failed("ptrace", PTRACE_SEIZE, gateway, 0, 0),
        "process_vm_readv": failed("process_vm_readv", gateway, vector, 1, vector, 1, 0),
        "process_vm_writev": failed("process_vm_writev", gateway, vector, 1, vector, 1, 0),
        "process_madvise": failed("process_madvise", pidfd, vector, 1, 20, 0),
        "kcmp": failed("kcmp", os.getpid(), gateway, 0, 0, 0),
        **{name: how for name, how in taken.items() if how == "done"},
    }


def signals(gateway: int) -> dict[str, str]:
    """Signal a process in every way, with signals that change nothing where they can arrive."""
    pidfd = call("pidfd_open", gateway, 0)
    group = outcome(lambda: os.kill(-os.getpgid(gateway), 0)) if gateway > 1 else "EPERM"
    left, right = socket.socketpair()
    owner = struct.pack("ii", 1, gateway)
    limit = struct.pack("QQ", 2**63, 2**63)
    with left, right:
        return {
            "kill": outcome(lambda: os.kill(gateway, 0)),
            "kill TERM": outcome(lambda: os.kill(gateway, signal.SIGTERM)),
            "kill all": outcome(lambda: os.kill(-1, 0)),
            "kill group": group,
            "tgkill": failed("tgkill", gateway, gateway, 0),
            "tkill": failed("tkill", gateway, 0),
            "rt_sigqueueinfo": failed("rt_sigqueueinfo", gateway, 0, bytes(128)),
            "pidfd_send_signal": failed("pidfd_send_signal", pidfd, 0, None, 0),
            "join group": outcome(lambda: os.setpgid(0, os.getpgid(gateway))),
            "F_SETOWN": outcome(lambda: fcntl.fcntl(left, fcntl.F_SETOWN, gateway)),
            "F_SETOWN_EX": outcome(lambda: fcntl.fcntl(left, F_SETOWN_EX, owner)),
            "F_SETSIG": outcome(lambda: fcntl.fcntl(left, F_SETSIG, signal.SIGKILL)),
            "SIOCSPGRP": outcome(lambda: fcntl.ioctl(left, SIOCSPGRP, struct.pack("i", gateway))),
            "prlimit": failed("prlimit64", gateway, 0, limit, None),
        }


def kernel() -> dict[str, str]:
    """Ask the kernel for what no engine needs."""
    calls = {
        "join keyring": ("keyctl", 1, None),
        "describe keyring": ("keyctl", 6, -3, None, 0),
        "add_key": ("add_key", b"user", b"x", b"x", 1, -3),
        "request_key": ("request_key", b"user", b"x", None, 0),
        "bpf": ("bpf", 0, bytes(64), 64),
        "perf_event_open": ("perf_event_open", bytes(128), 0, -1, -1, 0),
        "userfaultfd": ("userfaultfd", 1),
        "mount": ("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "setns": ("setns", 0, 0),
        "user namespace": ("unshare", CLONE_NEWUSER),
        "clone3": ("clone3", None, 0),
        "io_uring": ("io_uring_setup", 1, bytes(128)),
    }
    families = {"AF_ALG": AF_ALG, "AF_VSOCK": AF_VSOCK, "AF_PACKET": socket.AF_PACKET}
    return {
        **{name: failed(*arguments) for name, arguments in calls.items()},
        **{
            name: outcome(lambda family=family: socket.socket(family, socket.SOCK_RAW))
            for name, family in families.items()
        },
        "set the clock": outcome(lambda: __import__("time").clock_settime(0, 0)),
    }


def ports(port: int) -> dict[str, str]:
    """Take over a port from the process that listens there."""

    def bind(host: str, *options: int) -> None:
        with socket.socket() as taken:
            for option in options:
                taken.setsockopt(socket.SOL_SOCKET, option, 1)
            taken.bind((host, port))
            taken.listen()

    return {
        f"listen {host} {options}": outcome(lambda host=host, options=options: bind(host, *options))
        for host in ("0.0.0.0", "127.0.0.1")
        for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT))
    }


def kinds() -> list[str]:
    """Return what kinds of sockets that listen this process has been given; pipes do not count."""
    found = []
    for path in list(Path("/proc/self/fd").iterdir()):
        try:
            held = socket.socket(fileno=os.dup(int(path.name)))
        except OSError:
            continue
        with held:
            if held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(held.family.name)
    return found


def rights() -> str:
    """Return what the kernel says of this process's rights."""
    lines = Path("/proc/self/status").read_text().splitlines()
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp:")
    said = [line.replace("\t", "") for line in lines if line.startswith(names)]
    return " ".join([*said, f"uid:{os.getuid()}"])


def failed(name: str, *arguments: object) -> str:
    """Make a system call; return the name of its error, or ``done``."""
    return "done" if call(name, *arguments) >= 0 else errno.errorcode[ctypes.get_errno()]


def call(name: str, *arguments: object) -> int:
    """Make a system call, and return what it does."""
    return LIBC.syscall(CALLS[name], *arguments)


def outcome(attempt: object) -> str:
    """Call; return the name of the error, or ``done``."""
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "done"

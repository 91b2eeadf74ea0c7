"""Builds a filter program for seccomp(2) that blocks dangerous system calls.

Allows all other calls, because engines are third-party programs of every kind. Blocks calls that
access other processes, create namespaces or change the machine, and calls that attackers often use
and engines do not need. No I/O: the caller installs the filter. Returns None for a processor whose
call numbers are unknown. The gateway imports this first, so it imports only modules that load fast.
Format: <linux/filter.h> and <linux/seccomp.h>; numbers: <asm/unistd_64.h>, <asm-generic/unistd.h>.
"""

import errno
from collections.abc import Iterable, Sequence
from struct import pack

# struct seccomp_data: the call's number, the processor's ABI, an address, six arguments of 8 bytes.
_NUMBER, _ABI, _ARGUMENTS = 0, 4, 16
_LOAD, _JUMP_EQUAL, _JUMP_NOT_LESS, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000

# AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 in <linux/audit.h>.
_ABIS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# The first number of x32, a second ABI of the same processor.
_X32 = 0x40000000

# Each call's number for x86_64 and aarch64; None if the processor does not have the call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "clone": (56, 220),
    "clone3": (435, 435),
    "delete_module": (176, 106),
    "fcntl": (72, 25),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lookup_dcookie": (212, 18),
    "migrate_pages": (256, 238),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "prlimit64": (302, 261),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "socket": (41, 198),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}

# CLONE_NEW* in <linux/sched.h>; the time namespace's bit is a signal in clone: only unshare has it.
_NAMESPACES, _TIME_NAMESPACE = 0x7E020000, 0x00000080
# <linux/socket.h>: the kernel's crypto API, and connections from a virtual machine to its host.
_AF_ALG, _AF_VSOCK = 38, 40
# <linux/fcntl.h> and <asm-generic/sockios.h>: set who gets a signal when a file can be read.
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902


class Refusal:
    """A call that fails with an error number: always, or for some values of an argument."""

    __slots__ = ("argument", "bits", "call", "error", "others", "values")

    def __init__(
        self,
        call: str,
        error: int = errno.EPERM,
        *,
        argument: int | None = None,
        values: tuple[int, ...] = (),
        bits: int = 0,
        others: bool = False,
    ) -> None:
        """Refuse ``values`` of an argument, and each of its ``bits``; or all ``others``.

        ``argument`` is its index; the kernel uses its lower 32 bits, and so does the filter.
        """
        self.call = call
        self.error = error
        self.argument = argument
        self.values = values
        self.bits = bits
        self.others = others


# Access to other processes, namespaces, mounts and the kernel's keys; changes of the machine.
_ALWAYS = tuple(
    Refusal(name)
    for name in (
        *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise"),
        *("process_mrelease", "pidfd_getfd", "kcmp", "move_pages", "migrate_pages"),
        *("setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree"),
        *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at"),
        *("keyctl", "add_key", "request_key", "bpf", "perf_event_open", "userfaultfd"),
        *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module"),
        *("swapon", "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "lookup_dcookie"),
        *("nfsservctl", "iopl", "ioperm", "syslog", "settimeofday", "clock_settime"),
        *("clock_adjtime", "adjtimex", "sethostname", "setdomainname", "vhangup"),
    )
)
_PARTLY = (
    Refusal("clone", argument=0, bits=_NAMESPACES),
    Refusal("unshare", argument=0, bits=_NAMESPACES | _TIME_NAMESPACE),
    # Its flags are in memory, which a filter cannot read. C libraries fall back to clone.
    Refusal("clone3", errno.ENOSYS),
    # A filter cannot see what io_uring does. Programs that use it also work without it.
    *(Refusal(f"io_uring_{name}", errno.ENOSYS) for name in ("setup", "enter", "register")),
    Refusal("socket", errno.EAFNOSUPPORT, argument=0, values=(_AF_ALG, _AF_VSOCK)),
)


def container_refusals() -> tuple[Refusal, ...]:
    """Return the calls that no program in a container may use."""
    return (*_ALWAYS, *_PARTLY)


def worker_refusals(process: int, group: int) -> tuple[Refusal, ...]:
    """Return the calls that a worker may not use; it cannot signal ``process`` and its ``group``.

    It cannot set limits of other processes either, because exceeding a limit also sends a signal.
    """
    signalled = {process, -1}
    if group > 1:
        signalled.add(-group)
    to = tuple(sorted(value & 0xFFFFFFFF for value in signalled))
    return (
        *container_refusals(),
        Refusal("kill", argument=0, values=to),
        Refusal("tgkill", argument=0, values=to),
        Refusal("rt_sigqueueinfo", argument=0, values=to),
        Refusal("rt_tgsigqueueinfo", argument=0, values=to),
        # These name a thread or an open file, which could belong to any process.
        Refusal("tkill"),
        Refusal("pidfd_send_signal", errno.ENOSYS),
        Refusal("fcntl", argument=1, values=(_F_SETOWN, _F_SETSIG, _F_SETOWN_EX)),
        Refusal("ioctl", argument=1, values=(_FIOSETOWN, _SIOCSPGRP)),
        Refusal("prlimit64", argument=0, values=(0,), others=True),
    )


def filter_program(refusals: Iterable[Refusal], machine: str) -> bytes | None:
    """Return a filter's instructions for a processor, by its uname name; None if it is unknown."""
    if machine not in _ABIS:
        return None
    place = list(_ABIS).index(machine)
    body = b"".join(
        _refuse(number, refusal)
        for refusal in refusals
        if (number := _CALLS[refusal.call][place]) is not None
    )
    begin = (
        _instruction(_LOAD, _ABI)
        + _instruction(_JUMP_EQUAL, _ABIS[machine], 1, 0)
        + _instruction(_RETURN, _FAIL | errno.ENOSYS)
        + _instruction(_LOAD, _NUMBER)
        + _instruction(_JUMP_NOT_LESS, _X32, 0, 1)
        + _instruction(_RETURN, _FAIL | errno.ENOSYS)
    )
    return begin + body + _instruction(_RETURN, _ALLOW)


def _refuse(number: int, refusal: Refusal) -> bytes:
    """Return the instructions for one call; they expect and leave its number in the register."""
    fail = _instruction(_RETURN, _FAIL | refusal.error)
    if refusal.argument is None:
        return _instruction(_JUMP_EQUAL, number, 0, 1) + fail
    tests = [(_JUMP_EQUAL, value) for value in refusal.values]
    if refusal.bits:
        tests.append((_JUMP_ANY_BIT, refusal.bits))
    block = (
        _instruction(_LOAD, _ARGUMENTS + 8 * refusal.argument)
        + _jumps(tests, others=refusal.others)
        + fail
        + _instruction(_LOAD, _NUMBER)
    )
    return _instruction(_JUMP_EQUAL, number, 0, len(block) // 8) + block


def _jumps(tests: Sequence[tuple[int, int]], *, others: bool) -> bytes:
    """Return tests of an argument; the next two instructions are "fail" and "continue"."""
    last = len(tests) - 1
    if others:
        # A listed value continues; a value that matches none of them reaches the failure.
        return b"".join(
            _instruction(kind, value, last - place + 1, 0)
            for place, (kind, value) in enumerate(tests)
        )
    return b"".join(
        _instruction(kind, value, last - place, 1 if place == last else 0)
        for place, (kind, value) in enumerate(tests)
    )


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return pack("=HBBI", code, if_true, if_false, value)

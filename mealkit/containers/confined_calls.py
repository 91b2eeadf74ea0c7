"""The system calls that a confined Python may make, as a program for the kernel's seccomp filter.

It is an allow list: the calls that a Python needs to start, to read its own files, to compile and
to fork. No sockets, mounts, tracing, keys, shared memory or new namespaces. Every other call fails
with ENOSYS, as if the kernel did not have it. Raises OSError for processors whose calls are not
listed.

Format: the kernel's seccomp_filter.rst and filter.rst. Numbers: arch/x86/entry/syscalls/
syscall_64.tbl, and include/uapi/asm-generic/unistd.h for aarch64.
"""

import errno
import struct
from collections.abc import Iterator

# (name, number on x86_64, number on aarch64); None if the processor has no such call.
_CALLS: tuple[tuple[str, int | None, int | None], ...] = (
    ("read", 0, 63),
    ("write", 1, 64),
    ("open", 2, None),
    ("close", 3, 57),
    ("stat", 4, None),
    ("fstat", 5, 80),
    ("lstat", 6, None),
    ("poll", 7, None),
    ("lseek", 8, 62),
    ("mmap", 9, 222),
    ("mprotect", 10, 226),
    ("munmap", 11, 215),
    ("brk", 12, 214),
    ("rt_sigaction", 13, 134),
    ("rt_sigprocmask", 14, 135),
    ("rt_sigreturn", 15, 139),
    ("pread64", 17, 67),
    ("readv", 19, 65),
    ("writev", 20, 66),
    ("access", 21, None),
    ("sched_yield", 24, 124),
    ("mremap", 25, 216),
    ("madvise", 28, 233),
    ("dup", 32, 23),
    ("getpid", 39, 172),
    ("fork", 57, None),
    ("vfork", 58, None),
    ("execve", 59, 221),
    ("exit", 60, 93),
    ("wait4", 61, 260),
    ("uname", 63, 160),
    ("fcntl", 72, 25),
    ("getcwd", 79, 17),
    ("readlink", 89, None),
    ("getrlimit", 97, 163),
    ("getrusage", 98, 165),
    ("sysinfo", 99, 179),
    ("times", 100, 153),
    ("getuid", 102, 174),
    ("getgid", 104, 176),
    ("geteuid", 107, 175),
    ("getegid", 108, 177),
    ("getppid", 110, 173),
    ("sigaltstack", 131, 132),
    ("arch_prctl", 158, None),
    ("gettid", 186, 178),
    ("time", 201, None),
    ("futex", 202, 98),
    ("sched_getaffinity", 204, 123),
    ("getdents64", 217, 61),
    ("set_tid_address", 218, 96),
    ("restart_syscall", 219, 128),
    ("clock_gettime", 228, 113),
    ("clock_getres", 229, 114),
    ("clock_nanosleep", 230, 115),
    ("exit_group", 231, 94),
    ("tgkill", 234, 131),
    ("openat", 257, 56),
    ("newfstatat", 262, 79),
    ("readlinkat", 267, 78),
    ("faccessat", 269, 48),
    ("ppoll", 271, 73),
    ("set_robust_list", 273, 99),
    ("prlimit64", 302, 261),
    ("getrandom", 318, 278),
    ("statx", 332, 291),
    ("rseq", 334, 293),
    ("faccessat2", 439, 439),
)
# (machine, AUDIT_ARCH, clone, ioctl): linux/audit.h
_MACHINES = {"x86_64": (0xC000003E, 56, 16), "aarch64": (0xC00000B7, 220, 29)}

# All CLONE_NEW* flags that clone() accepts.
_NEW_NAMESPACES = 0x7E020000

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# struct seccomp_data: the call's number, the processor, the caller's address, six arguments.
_NUMBER, _PROCESSOR, _FIRST_ARGUMENT = 0, 4, 16


def filter_program(machine: str) -> bytes:
    """Return the filter for a processor, with its name from `os.uname`.

    Raises:
        OSError: ENOSYS, the processor's calls are not known here.
    """
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no list of system calls for {machine}")
    return b"".join(_instructions(machine))


def _instructions(machine: str) -> Iterator[bytes]:
    processor, clone, ioctl = _MACHINES[machine]
    column = 1 if machine == "x86_64" else 2
    yield _instruction(_LOAD, _PROCESSOR)
    yield _instruction(_EQUAL, processor, 1, 0)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, _NUMBER)
    for call in _CALLS:
        number = call[column]
        if isinstance(number, int):
            yield _instruction(_EQUAL, number, 0, 1)
            yield _instruction(_RETURN, _ALLOW)
    # Python checks whether its streams are terminals; none is.
    yield _instruction(_EQUAL, ioctl, 0, 1)
    yield _instruction(_RETURN, _FAIL | errno.ENOTTY)
    # clone3, whose flags a filter cannot see, is not in the list; the C library then calls this.
    yield _instruction(_EQUAL, clone, 0, 4)
    yield _instruction(_LOAD, _FIRST_ARGUMENT)
    yield _instruction(_ANY_BIT, _NEW_NAMESPACES, 0, 1)
    yield _instruction(_RETURN, _FAIL | errno.EPERM)
    yield _instruction(_RETURN, _ALLOW)
    yield _instruction(_RETURN, _FAIL | errno.ENOSYS)


def _instruction(code: int, value: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)

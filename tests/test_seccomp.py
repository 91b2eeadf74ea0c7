"""Filters of system calls: what the kernel does with them, and that each argument decides alone."""

import errno
import struct
import subprocess
import sys

import pytest

from mealkit.seccomp import (
    Refusal,
    container_refusals,
    filter_program,
    worker_refusals,
)

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, FAIL = 0x7FFF0000, 0x00050000


def decision(program, number, *arguments, abi=0xC000003E):
    """Run a filter as the kernel does; return the errno, or 0 where the call is allowed."""
    values = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=IIQ6Q", number, abi, 0, *(value & (2**64 - 1) for value in values))
    instructions = list(struct.iter_unpack("=HBBI", program))
    place = held = steps = 0
    while True:
        steps += 1
        assert steps < 4096
        code, if_true, if_false, value = instructions[place]
        place += 1
        match code:
            case 0x20:
                (held,) = struct.unpack_from("=I", data, value)
            case 0x15:
                place += if_true if held == value else if_false
            case 0x35:
                place += if_true if held >= value else if_false
            case 0x45:
                place += if_true if held & value else if_false
            case 0x06:
                return 0 if value == ALLOW else value - FAIL
            case _:
                raise AssertionError(code)


WORKER = filter_program(worker_refusals(100, 90), "x86_64")


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (0, (), 0),  # read
        (101, (), errno.EPERM),  # ptrace
        (62, (100, 9), errno.EPERM),  # kill: the process itself
        (62, (-1, 9), errno.EPERM),
        (62, (-90, 9), errno.EPERM),
        (62, (100 | 7 << 32, 9), errno.EPERM),  # the kernel takes 32 bits
        (62, (101, 9), 0),
        (62, (0, 9), 0),
        (62, (-101, 9), 0),
        (234, (100, 100, 9), errno.EPERM),  # tgkill
        (234, (5, 6, 9), 0),
        (302, (0, 0), 0),  # prlimit64 of itself
        (302, (100, 0), errno.EPERM),
        (302, (5, 0), errno.EPERM),
        (56, (0x10000000,), errno.EPERM),  # clone: a user namespace
        (56, (0x00020000 | 17,), errno.EPERM),
        (56, (0x003D0F00,), 0),  # a thread
        (272, (0x00000080,), errno.EPERM),  # unshare: a time namespace
        (272, (0x00000400,), 0),  # its own table of files
        (435, (), errno.ENOSYS),  # clone3
        (41, (2, 1), 0),  # socket: AF_INET
        (41, (40, 1), errno.EAFNOSUPPORT),
        (72, (5, 8, 100), errno.EPERM),  # fcntl: F_SETOWN
        (72, (5, 2, 1), 0),  # F_SETFD
        (16, (5, 0x8902), errno.EPERM),  # ioctl: SIOCSPGRP
        (16, (5, 0x5401), 0),
        (0x40000000 + 101, (), errno.ENOSYS),  # x32
    ],
)
def test_what_is_refused(number, arguments, expected):
    """By the call and, for some, by one argument; whatever else is asked for is allowed."""
    assert decision(WORKER, number, *arguments) == expected


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_each_call_is_refused_and_no_other(machine):
    """A filter of the calls that are always refused allows all other numbers."""
    always = [item for item in container_refusals() if item.argument is None]
    program = filter_program(always, machine)
    abi = ARCHITECTURES[machine]
    refused = {number for number in range(600) if decision(program, number, abi=abi)}
    absent = {"iopl", "ioperm"} if machine == "aarch64" else set()
    assert len(refused) == len({item.call for item in always} - absent)


def test_another_abi_has_nothing():
    """A 32-bit program has other numbers, and none of them."""
    assert decision(WORKER, 20, abi=0x40000003) == errno.ENOSYS


def test_an_unknown_processor_has_no_filter():
    """Its numbers are not known."""
    assert filter_program(container_refusals(), "riscv64") is None


@pytest.mark.parametrize("others", [False, True])
def test_several_values_of_an_argument(others):
    """Each of them is refused, or each but them."""
    refusal = Refusal("kill", argument=0, values=(3, 5, 7), others=others)
    program = filter_program([refusal], "x86_64")
    for value in range(10):
        assert bool(decision(program, 62, value)) == ((value in {3, 5, 7}) != others)


def test_the_kernel_takes_it():
    """A process under a worker's filter starts threads, processes and sockets as before."""
    code = """if True:
        import ctypes, os, socket, subprocess, sys, threading
        from mealkit.seccomp import filter_program, worker_refusals
        import struct
        program = filter_program(worker_refusals(os.getppid(), os.getpgrp()), os.uname().machine)
        held = ctypes.create_string_buffer(program, len(program))
        form = struct.pack("HP", len(program) // 8, ctypes.addressof(held))
        libc = ctypes.CDLL(None)
        assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, form, 0, 0) == 0
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()
        socket.create_server(("127.0.0.1", 0)).close()
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        child.terminate()
        assert child.wait() == -15
        try:
            os.kill(os.getppid(), 0)
        except PermissionError:
            print("refused")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"

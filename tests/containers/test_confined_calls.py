"""The filter for a confined Python allows what it needs, and refuses the rest in its way."""

import errno
import struct

import pytest

from mealkit.containers.confined_calls import filter_program

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NEW_USER_NAMESPACE = 0x10000000


def judged(machine, number, argument=0, processor=None):
    """Run the filter as the kernel does: on the call's number, processor and first argument."""
    processor = MACHINES[machine] if processor is None else processor
    data = struct.pack("=IIQQ", number, processor, 0, argument)
    steps = list(struct.iter_unpack("=HBBI", filter_program(machine)))
    at, value = 0, 0
    while True:
        code, jump_true, jump_false, operand = steps[at]
        at += 1
        match code:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, operand)
            case 0x15:
                at += jump_true if value == operand else jump_false
            case 0x45:
                at += jump_true if value & operand else jump_false
            case 0x06:
                return operand


@pytest.mark.parametrize(
    ("machine", "number"),
    [("x86_64", 0), ("x86_64", 257), ("x86_64", 439), ("aarch64", 63), ("aarch64", 56)],
)
def test_what_a_python_needs_is_allowed(machine, number):
    """read and openat have other numbers on each processor."""
    assert judged(machine, number) == ALLOW


@pytest.mark.parametrize(
    ("machine", "number"),
    [
        *(("x86_64", 41), ("x86_64", 165), ("x86_64", 101), ("x86_64", 272), ("x86_64", 435)),
        *(("aarch64", 198), ("aarch64", 40), ("aarch64", 117), ("aarch64", 97), ("aarch64", 435)),
        ("x86_64", 0x40000000),
        ("x86_64", 9999),
    ],
)
def test_everything_else_is_a_call_that_the_kernel_lacks(machine, number):
    """Sockets, mounts, tracing, unshare, clone3, the x32 numbers, and what is yet to come."""
    assert judged(machine, number) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_a_fork_is_allowed_and_a_new_namespace_is_not(machine, clone):
    """Both are the same call."""
    assert judged(machine, clone, 17) == ALLOW
    assert judged(machine, clone, 17 | NEW_USER_NAMESPACE) == ERRNO | errno.EPERM


@pytest.mark.parametrize(("machine", "ioctl"), [("x86_64", 16), ("aarch64", 29)])
def test_no_stream_is_a_terminal(machine, ioctl):
    """Python asks of each."""
    assert judged(machine, ioctl) == ERRNO | errno.ENOTTY


@pytest.mark.parametrize("processor", [0x40000003, 0xC00000B7])
def test_a_call_in_another_processors_way_ends_the_process(processor):
    """Its numbers mean other calls."""
    assert judged("x86_64", 0, processor=processor) == KILL


def test_a_processor_that_is_not_known_is_refused():
    """Without a list, nothing could be allowed."""
    with pytest.raises(OSError, match="riscv64") as caught:
        filter_program("riscv64")
    assert caught.value.errno == errno.ENOSYS

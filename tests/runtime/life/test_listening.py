"""The socket that callers reach."""

import os
import socket
import subprocess
import sys

import pytest
from runtime.conftest import failed

from mealkit.runtime.life.listening import open_listener, passed_listener


def test_port_that_is_taken(start):
    """A port in use is named."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        problem = failed(start(environment={"MEALKIT_PORT": str(port)}), "PORT_TAKEN", 9)
    assert f"127.0.0.1:{port}" in problem["message"]


def test_port_of_the_lock(start, make_lock):
    """Without a setting the lock's port is listened on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from mealkit.runtime.settings import read_settings\n"]
    kit = start(make_lock(serving={"port": port}))
    command[-1] += f"print(read_settings({{'MEALKIT_ETC': {str(kit.root / 'etc')!r}}}).port)"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{port}\n"


def test_a_new_socket_listens():
    """A caller can connect before anybody accepts."""
    descriptor = open_listener("127.0.0.1", 0)
    with socket.socket(fileno=descriptor) as listener:
        with socket.create_connection(listener.getsockname(), 5):
            assert not os.get_inheritable(descriptor)
        with pytest.raises(OSError, match="in use"):
            open_listener("127.0.0.1", listener.getsockname()[1])


def test_an_address_with_colons_is_of_version_6():
    """Both families can be listened on."""
    with socket.socket(fileno=open_listener("::1", 0)) as listener:
        assert listener.family is socket.AF_INET6


@pytest.mark.parametrize("caller", ["127.0.0.1", "::1"])
def test_everywhere_is_both_versions(caller):
    """The default address is reached over IPv4 and over IPv6."""
    with socket.socket(fileno=open_listener("::", 0)) as listener:
        port = listener.getsockname()[1]
        socket.create_connection((caller, port), 5).close()


def test_everywhere_without_version_6():
    """Where the kernel makes no socket of IPv6, the default address is that of IPv4."""
    program = (
        "import ctypes, errno, platform, socket, struct\n"
        "from mealkit.runtime.life.listening import open_listener\n"
        "from mealkit.seccomp import Refusal, filter_program\n"
        "no_six = Refusal('socket', errno.EAFNOSUPPORT, argument=0, values=(socket.AF_INET6,))\n"
        "code = filter_program([no_six], platform.machine())\n"
        "held = ctypes.create_string_buffer(code, len(code))\n"
        "form = struct.pack('HP', len(code) // 8, ctypes.addressof(held))\n"
        "libc = ctypes.CDLL(None)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0 == libc.prctl(22, 2, form, 0, 0)\n"
        "print(socket.socket(fileno=open_listener('::', 0)).getsockname()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.0.0.0\n"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"},
        {"LISTEN_PID": str(os.getpid())},
    ],
)
def test_sockets_of_another_process_are_not_taken(environment):
    """Only one socket that was meant for this process is its listener."""
    assert passed_listener(environment) is None


def test_a_socket_that_was_passed_on_is_taken_over():
    """The third descriptor is used, and what the process starts does not inherit it."""
    program = (
        "import os, socket; from mealkit.runtime.life.listening import listening\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "os.set_inheritable(os.dup2(listener.fileno(), 3), True)\n"
        "passed = {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '1'}\n"
        "print(listening(passed, '999.0.0.1', 0), os.get_inheritable(3))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "3 False\n"

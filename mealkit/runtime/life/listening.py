"""Opens the listening socket for callers before any of the kit's code runs.

Otherwise that code could bind the port first and receive callers' requests. If the parent process
has opened the socket, it is used as sd_listen_fds(3) describes. It is imported early, so it imports
only quick modules.
"""

import _socket
import errno
import os
from collections.abc import Mapping

_BACKLOG = 1024
# Every address of the machine, of both versions; where IPv6 does not exist, those of IPv4.
_EVERYWHERE, _EVERYWHERE_IPV4 = "::", "0.0.0.0"  # noqa: S104  the container has its own address
_FIRST_PASSED = 3
# The next one: a Unix socket over which mealkit passes the socket of a deployment.
_CONTROL_PASSED = 4


def listening(environment: Mapping[str, str], host: str, port: int) -> int:
    """Return the descriptor of a listening socket: the one that was passed on, or a new one.

    Raises:
        OSError: the address cannot be listened on.
    """
    passed = passed_listener(environment)
    passed_control(environment)
    return open_listener(host, port) if passed is None else passed


def passed_listener(environment: Mapping[str, str]) -> int | None:
    """Return the listening socket from the parent process; None if it has passed none."""
    is_ours = environment.get("LISTEN_PID") == str(os.getpid())
    if not is_ours or environment.get("LISTEN_FDS") != "1":
        return None
    # Child processes must not inherit the socket.
    os.set_inheritable(_FIRST_PASSED, False)  # noqa: FBT003
    return _FIRST_PASSED


def passed_control(environment: Mapping[str, str]) -> int | None:
    """Return the control socket of a deployment's revision; None if this is none.

    The engine must not inherit it: who has it can get the deployment's socket.
    """
    if passed_listener(environment) is None or environment.get("MEALKIT_CONTROL") != "on":
        return None
    os.set_inheritable(_CONTROL_PASSED, False)  # noqa: FBT003
    return _CONTROL_PASSED


def open_listener(host: str, port: int) -> int:
    """Bind and listen; return the descriptor. ``::`` is every address, also those of IPv4.

    Raises:
        OSError: the address cannot be listened on.
    """
    try:
        return _open(host, port)
    except OSError as error:
        # The kernel has no IPv6, or it is switched off, as in most containers of Docker.
        if host != _EVERYWHERE or error.errno not in {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}:
            raise
        return _open(_EVERYWHERE_IPV4, port)


def _open(host: str, port: int) -> int:
    family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
    # asyncio disables Nagle's algorithm only for sockets with an explicit protocol; with it, an
    # answer in two writes would take 40 ms longer.
    listener = _socket.socket(family, _socket.SOCK_STREAM, _socket.IPPROTO_TCP)
    try:
        listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if host == _EVERYWHERE:
            listener.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 0)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener.detach()

"""Where a server may send its callers on to: never off TLS, and never nearer to this machine.

A server on the internet has no business in the caller's own network: a redirect to a loopback,
link-local or private address asks a service there in the caller's name (CWE-918). Names are
resolved first, so that all spellings of an address are one. Imports the standard library alone.
"""

import ipaddress
import socket
from enum import IntEnum
from urllib.parse import urlsplit

_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class HopError(ValueError):
    """A redirect that is not followed; the message says why."""


class DowngradeError(HopError):
    """A redirect that leaves TLS."""


class StrangeError(HopError):
    """A redirect that leaves HTTP, or cannot be read."""


class Reach(IntEnum):
    """How near to this machine an address is."""

    INTERNET = 0
    NETWORK = 1
    """Private, shared, or otherwise not on the internet."""
    LINK = 2
    """Link-local, where clouds keep credentials of their machines."""
    MACHINE = 3


def check_hop(source: str, target: str) -> None:
    """Refuse an address that another one leads to, if it may not lead there.

    Raises:
        StrangeError: it is no address of HTTP.
        DowngradeError: it leaves TLS.
        HopError: it is nearer to this machine.
    """
    try:
        before, after = urlsplit(source), urlsplit(target)
    except ValueError as error:
        raise StrangeError("leads to an address that cannot be read") from error
    if after.scheme not in _PORTS:
        raise StrangeError(f"leads to an address of {after.scheme or 'no'} scheme")
    if before.scheme == "https" and after.scheme != "https":
        raise DowngradeError(f"leads from https to {after.scheme}://{after.netloc[-80:]}")
    here, there = before.hostname or "", after.hostname or ""
    if here == there:
        return
    # Of several addresses the farthest says where a server is, and the nearest where it leads.
    least, most = min(_reaches(here)), max(_reaches(there))
    if most is Reach.INTERNET or most is least:
        return
    if most is Reach.LINK or most > least:
        raise HopError(
            f"leads to {there[:80]}, which is {_WHERE[most]}, while {here[:80]} is {_WHERE[least]}"
        )


_WHERE = {
    Reach.INTERNET: "on the internet",
    Reach.NETWORK: "in the local network",
    Reach.LINK: "a link-local address",
    Reach.MACHINE: "this machine",
}


def _reaches(host: str) -> list[Reach]:
    """Return how near each address of a host is; one that is not known is on the internet.

    A proxy may know names that this machine does not; without one, the connection fails.
    """
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
        return [Reach.MACHINE]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [Reach.INTERNET]
    return [_reach(str(item[4][0])) for item in found] or [Reach.INTERNET]


def _reach(text: str) -> Reach:
    address = _embedded(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_loopback or address.is_unspecified:
        return Reach.MACHINE
    if address.is_link_local:
        return Reach.LINK
    return Reach.INTERNET if address.is_global else Reach.NETWORK


def _embedded(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, if it does."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address

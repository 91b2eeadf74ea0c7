"""Finds out whether an address is this machine, a private network or the internet.

``is_loopback`` decides what is trusted, such as a token over plain http: only literal loopback
addresses and ``localhost``. ``scopes_of`` decides what is refused, such as a redirect into the
local network: it resolves names first, and an IPv6 address that embeds an IPv4 address counts as
that one. Imports only the standard library.
"""

import ipaddress
import socket
from enum import IntEnum

LOOPBACK = "127.0.0.1"

# What listens on all addresses of a version is reached on that version's loopback address.
_EVERYWHERE = {"0.0.0.0": LOOPBACK, "::": "::1"}  # noqa: S104  compared, not bound

# Networks whose addresses contain an IPv4 address: RFC 6052, RFC 3056.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressScope(IntEnum):
    """How close to this machine an address is."""

    INTERNET = 0
    NETWORK = 1
    """Private, shared, or otherwise not on the internet."""
    LINK = 2
    """Link-local, where clouds serve their machines' credentials."""
    MACHINE = 3


def host_of(authority: str) -> str:
    """Return the host of ``host[:port]``, in lower case and without brackets."""
    if authority.startswith("["):
        return authority[1:].partition("]")[0].lower()
    return (authority if authority.count(":") > 1 else authority.partition(":")[0]).lower()


def is_address(host: str) -> bool:
    """Return whether a host is an address, not a name."""
    return _parsed(host) is not None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: 127.0.0.0/8, ``::1`` or ``localhost``.

    Other names are not, because their addresses may change.
    """
    address = _parsed(host)
    if address is None:
        return host.lower() == "localhost"
    # Older Pythons ignore the embedded address.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def caller_address(listening: str) -> str:
    """Return the address at which this machine reaches what listens on an address."""
    return _EVERYWHERE.get(listening, listening)


def scopes_of(host: str) -> list[AddressScope]:
    """Return the scope of each address of a host; an unknown name counts as internet.

    A proxy may resolve names that this machine cannot; without a proxy, the connection fails.
    """
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761 section 6.3
        return [AddressScope.MACHINE]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return [AddressScope.INTERNET]
    return [scope_of(str(item[4][0])) for item in found] or [AddressScope.INTERNET]


def scope_of(text: str) -> AddressScope:
    """Return how near an IP address is; one that is inside another counts as that other.

    Raises:
        ValueError: it is not an address.
    """
    address = _embedded(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_loopback or address.is_unspecified:
        return AddressScope.MACHINE
    if address.is_link_local:
        return AddressScope.LINK
    is_public = address.is_global and not address.is_multicast
    return AddressScope.INTERNET if is_public else AddressScope.NETWORK


def _parsed(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _embedded(address: _Address) -> _Address:
    """Return the IPv4 address that is embedded in an IPv6 address, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped or address.sixtofour:
            return address.ipv4_mapped or address.sixtofour or address
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address

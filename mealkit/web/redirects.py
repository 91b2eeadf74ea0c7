"""Where a server may send its callers on to: never off TLS, and never nearer to this machine.

A server on the internet has no business in the caller's own network: a redirect to a loopback,
link-local or private address asks a service there in the caller's name (CWE-918).
"""

from urllib.parse import urlsplit

from mealkit.addresses import AddressScope, scopes_of

_PORTS = {"https": 443, "http": 80}


class HopError(ValueError):
    """A redirect that is not followed; the message says why."""


class DowngradeError(HopError):
    """A redirect that leaves TLS."""


class StrangeError(HopError):
    """A redirect that leaves HTTP, or cannot be read."""


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
    least, most = min(scopes_of(here)), max(scopes_of(there))
    if most is AddressScope.INTERNET or most is least:
        return
    if most is AddressScope.LINK or most > least:
        raise HopError(
            f"leads to {there[:80]}, which is {_WHERE[most]}, while {here[:80]} is {_WHERE[least]}"
        )


_WHERE = {
    AddressScope.INTERNET: "on the internet",
    AddressScope.NETWORK: "in the local network",
    AddressScope.LINK: "a link-local address",
    AddressScope.MACHINE: "this machine",
}

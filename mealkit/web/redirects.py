"""Checks redirects: they must not leave TLS, and must not point closer to this machine.

A server on the internet must not redirect into the local network: a redirect to a loopback,
link-local or private address would send the caller's request to a service there (CWE-918).
"""

from urllib.parse import urlsplit

from mealkit.addresses import AddressScope, scopes_of

_PORTS = {"https": 443, "http": 80}


class HopError(ValueError):
    """A redirect that mealkit does not follow; the message says why."""


class DowngradeError(HopError):
    """A redirect that leaves TLS."""


class StrangeError(HopError):
    """A redirect that leaves HTTP, or whose address is not valid."""


def check_hop(source: str, target: str) -> None:
    """Check that one address may redirect to another.

    Raises:
        StrangeError: the target is not an HTTP address.
        DowngradeError: the redirect leaves TLS.
        HopError: the target is closer to this machine.
    """
    try:
        before, after = urlsplit(source), urlsplit(target)
    except ValueError as error:
        raise StrangeError("redirects to an invalid address") from error
    if after.scheme not in _PORTS:
        raise StrangeError(f"redirects to an address with {after.scheme or 'no'} scheme")
    if before.scheme == "https" and after.scheme != "https":
        raise DowngradeError(f"redirects from https to {after.scheme}://{after.netloc[-80:]}")
    here, there = before.hostname or "", after.hostname or ""
    if here == there:
        return
    # Of several addresses, the farthest counts for the source, and the nearest for the target.
    least, most = min(scopes_of(here)), max(scopes_of(there))
    if most is AddressScope.INTERNET or most is least:
        return
    if most is AddressScope.LINK or most > least:
        raise HopError(
            f"redirects to {there[:80]}, which is {_WHERE[most]}, "
            f"while {here[:80]} is {_WHERE[least]}"
        )


_WHERE = {
    AddressScope.INTERNET: "on the internet",
    AddressScope.NETWORK: "in the local network",
    AddressScope.LINK: "a link-local address",
    AddressScope.MACHINE: "this machine",
}

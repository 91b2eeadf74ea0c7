"""Decides which token servers may get a registry's credentials: its own, and those the user named.

A registry names its token server in its challenge. The owner of the registry's name controls the
names below it, and the owners of the names above control it. The user has given no password to any
other host. Source of the known pairs: the registries' answers, and
docs.docker.com/registry/spec/auth/token, docs.gitlab.com "GitLab container registry".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mealkit.addresses import host_of, is_address, is_loopback
from mealkit.errors import failure

VARIABLE = "MEALKIT_TOKEN_REALMS"

# Token servers of public registries whose names are neither above nor below them.
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "registry.digitalocean.com": ("api.digitalocean.com",),
    "registry-1.docker.io": ("auth.docker.io",),
}


@dataclass(frozen=True, slots=True)
class Realms:
    """The token servers that the user named, by registry; and the hosts that need no TLS."""

    named: Mapping[str, frozenset[str]] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()
    """Registries and token servers that the user allowed to use HTTP, as ``host[:port]``."""

    def is_plain(self, registry: str, realm: str) -> bool:
        """Return whether a registry's token server may use HTTP: by name, or on its own host."""
        return realm in self.plain or (registry in self.plain and _host(registry) == _host(realm))

    def may_know(self, registry: str, realm: str) -> bool:
        """Return whether a token server may get the user's credentials for a registry.

        Both are ``host[:port]``.
        """
        here, there = _host(registry), _host(realm)
        if is_loopback(host_of(registry)) and is_loopback(host_of(realm)):
            return True
        if here == there or there in _KNOWN.get(here, ()):
            return True
        if there in self.named.get(registry, ()) or there in self.named.get(here, ()):
            return True
        if is_address(here) or is_address(there) or "." not in there or "." not in here:
            return False
        return there.endswith(f".{here}") or here.endswith(f".{there}")


def realms_of(setting: str, plain: frozenset[str] = frozenset()) -> Realms:
    """Read ``registry=host[,host]`` pairs, with white space or semicolons between them.

    ``plain`` are the hosts that need no TLS.

    Raises:
        StoreError: ``REFERENCE_INVALID``: a pair is not valid.
    """
    named: dict[str, frozenset[str]] = {}
    for pair in setting.replace(";", " ").split():
        registry, equals, hosts = pair.partition("=")
        if not (registry and equals and hosts):
            raise failure(
                "REFERENCE_INVALID",
                f"{pair!r} is not registry=host[,host]",
                where=VARIABLE,
                hint=f"correct the pair in {VARIABLE}",
            )
        known = named.get(registry, frozenset())
        named[registry] = known | {_host(host) for host in hosts.split(",") if host}
    return Realms(named, plain)


def _host(authority: str) -> str:
    """Return the host of ``host[:port]``, normalised for comparison."""
    return host_of(authority).rstrip(".")

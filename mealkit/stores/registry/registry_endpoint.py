"""The addresses of registries and their mirrors.

Raises RegistryError for plain HTTP to any host except this machine and those that the user named.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mealkit.addresses import host_of, is_loopback
from mealkit.errors import failure
from mealkit.oci.reference import HUB, HUB_NAMES

# The only registry whose API has another host name than the one in references.
_HUB_API = "registry-1.docker.io"

PLAIN_VARIABLE = "MEALKIT_PLAIN_HTTP"
MIRRORS_VARIABLE = "MEALKIT_REGISTRY_MIRRORS"
AUTHORITY = re.compile(r"(?:[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """The address of a registry, or of a mirror of one.

    ``registry`` is the name that people and credential files use, ``authority`` is host and port,
    ``prefix`` is added before every repository (for mirrors of several registries).
    """

    registry: str
    authority: str
    prefix: str = ""
    is_named_plain: bool = False
    """Whether the user named it as one that uses HTTP without TLS."""
    is_hub: bool = False
    """Whether it is Docker Hub or a mirror of it, where ``python`` is ``library/python``."""
    namespace: str = ""
    """For a mirror of several registries: the one that is meant; sent as ``?ns=``."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Headers that only this host gets, such as Dragonfly's ``X-Dragonfly-Registry``."""
    authorities: tuple[Path, ...] = ()
    """Files with the certificates of its authorities."""
    resolves: bool = True
    """Whether it is asked what a tag names; any is asked for bytes with a digest."""

    @property
    def may_be_plain(self) -> bool:
        """Whether plain HTTP is allowed: the host is this machine, or the user named it."""
        return self.is_named_plain or is_loopback(host_of(self.authority))

    def repository(self, name: str) -> str:
        """Return the repository's name at this endpoint."""
        if self.is_hub and "/" not in name:
            name = f"library/{name}"
        return f"{self.prefix}{name}"


def endpoint_of(registry: str, plain: frozenset[str] = frozenset()) -> RegistryEndpoint:
    """Return the endpoint of a reference's registry; ``plain`` registries use HTTP."""
    if registry.lower() in HUB_NAMES:
        return RegistryEndpoint(HUB, _HUB_API, is_hub=True)
    return RegistryEndpoint(registry, registry, is_named_plain=registry in plain)


def plain_of(setting: str) -> frozenset[str]:
    """Read the registries that use HTTP without TLS, with white space or commas between them.

    Raises:
        StoreError: ``REFERENCE_INVALID``: one is not ``host[:port]``.
    """
    named = {text.removeprefix("http://").rstrip("/") for text in re.split(r"[\s,;]+", setting)}
    for name in named - {""}:
        if not AUTHORITY.fullmatch(name):
            raise failure(
                "REFERENCE_INVALID",
                f"{name!r} is not the name of a registry, as in registry:5000",
                where=PLAIN_VARIABLE,
                hint=f"correct --plain-http, or {PLAIN_VARIABLE}",
            )
    return frozenset(named - {""})


def mirrors_of(
    setting: str, plain: frozenset[str] = frozenset()
) -> Mapping[str, tuple[RegistryEndpoint, ...]]:
    """Read ``registry=mirror[,mirror]`` pairs, with white space or semicolons between them.

    A mirror is ``[https://]host[:port][/prefix]``; ``http://`` only for a loopback host and for
    those in ``plain``.

    Raises:
        RegistryError: ``REGISTRY_INSECURE``.
        StoreError: ``REFERENCE_INVALID``: a pair is not valid.
    """
    found: dict[str, tuple[RegistryEndpoint, ...]] = {}
    for pair in setting.replace(";", " ").split():
        registry, equals, mirrors = pair.partition("=")
        if not (registry and equals and mirrors):
            raise failure(
                "REFERENCE_INVALID",
                f"{pair!r} is not registry=mirror[,mirror]",
                where=MIRRORS_VARIABLE,
                hint=f"correct the pair in {MIRRORS_VARIABLE}",
            )
        is_hub = registry in HUB_NAMES
        found[HUB if is_hub else registry] = tuple(
            _mirror(text, plain, is_hub=is_hub) for text in mirrors.split(",") if text
        )
    return found


def _mirror(text: str, plain: frozenset[str], *, is_hub: bool) -> RegistryEndpoint:
    scheme, separator, rest = text.partition("://")
    authority, _, prefix = (rest if separator else text).strip("/").partition("/")
    is_plain = authority in plain
    may_be_plain = is_plain or is_loopback(host_of(authority))
    if separator and scheme != "https" and not (scheme == "http" and may_be_plain):
        raise failure(
            "REGISTRY_INSECURE",
            f"the mirror {authority} would be read over {scheme}",
            where=MIRRORS_VARIABLE,
            hint=f"use https, or allow HTTP: --plain-http {authority}",
        )
    prefix = f"{prefix}/" if prefix else ""
    return RegistryEndpoint(authority, authority, prefix, is_plain, is_hub)

"""The addresses of registries and their mirrors.

Raises RegistryError for plain HTTP to any host except this machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from mealkit.addresses import host_of, is_loopback
from mealkit.errors import failure

# The only registry whose API has another host name than the one in references.
_HUB = "docker.io"
_HUB_API = "registry-1.docker.io"


@dataclass(frozen=True, slots=True)
class RegistryEndpoint:
    """The address of a registry, or of a mirror of one.

    ``registry`` is the name that people and credential files use, ``authority`` is host and port,
    ``prefix`` is added before every repository (for mirrors of several registries).
    """

    registry: str
    authority: str
    prefix: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, where plain HTTP is allowed."""
        return is_loopback(host_of(self.authority))

    def repository(self, name: str) -> str:
        """Return the repository's name at this endpoint."""
        if self.registry == _HUB and "/" not in name:
            name = f"library/{name}"
        return f"{self.prefix}{name}"


def endpoint_of(registry: str) -> RegistryEndpoint:
    """Return the endpoint of a reference's registry."""
    return RegistryEndpoint(registry, _HUB_API if registry == _HUB else registry)


def mirrors_of(setting: str) -> Mapping[str, tuple[RegistryEndpoint, ...]]:
    """Read ``registry=mirror[,mirror]`` pairs, with white space or semicolons between them.

    A mirror is ``[https://]host[:port][/prefix]``; ``http://`` only for a loopback host.

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
                where="MEALKIT_REGISTRY_MIRRORS",
                hint="correct the pair in MEALKIT_REGISTRY_MIRRORS",
            )
        found[registry] = tuple(_mirror(text) for text in mirrors.split(",") if text)
    return found


def _mirror(text: str) -> RegistryEndpoint:
    scheme, separator, rest = text.partition("://")
    authority, _, prefix = (rest if separator else text).strip("/").partition("/")
    if (
        separator
        and scheme != "https"
        and not (scheme == "http" and is_loopback(host_of(authority)))
    ):
        raise failure(
            "REGISTRY_INSECURE",
            f"the mirror {authority} would be read over {scheme}",
            where="MEALKIT_REGISTRY_MIRRORS",
        )
    return RegistryEndpoint(authority, authority, f"{prefix}/" if prefix else "")

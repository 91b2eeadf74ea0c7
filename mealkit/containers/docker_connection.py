"""Opens the SDK's client of a container engine's daemon, with the errors of mealkit.

Raises ContainerError if the daemon cannot be reached.
"""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mealkit.addresses import is_loopback
from mealkit.containers.docker_errors import ours
from mealkit.containers.docker_options import daemon_headers
from mealkit.errors import failure

if TYPE_CHECKING:
    import docker

_NO_HOSTS = {"", "localunixsocket"}
_ANY_VERSION = "1.41"  # a fixed version, so that the SDK does not query the daemon for one


@contextmanager
def connected(
    name: str, base_url: str | None, doing: str, seconds: int
) -> "Iterator[docker.DockerClient]":
    """Open the daemon at ``base_url``, else that of DOCKER_HOST or the active Docker context.

    ``seconds`` is how long the daemon may be silent; ``name`` is the client's, for problems.

    Raises:
        ContainerError: CLIENT_UNAVAILABLE or CLIENT_REFUSED, with the action that failed.
    """
    if (base_url or "").startswith("ssh://"):
        raise failure(
            "CLIENT_UNAVAILABLE",
            f"{name} cannot {doing}: {base_url} is not an address that starts with"
            " unix:// or tcp://",
            hint="forward the socket: ssh -L /tmp/podman.sock:REMOTE_SOCKET HOST",
        )
    with ours(name, doing):
        with closing(_client(base_url, _ANY_VERSION, seconds)) as silent:
            _knock(silent, seconds)
            # The SDK's own "auto" asks before a client can be told to use no proxy.
            version = _version_of(silent)
        with closing(_client(base_url, version, seconds)) as client:
            yield client


def _client(base_url: str | None, version: str, seconds: int) -> "docker.DockerClient":
    import docker  # noqa: PLC0415

    if base_url is None:
        client = docker.from_env(version=version, timeout=seconds)
    else:
        client = docker.DockerClient(base_url=base_url, version=version, timeout=seconds)
    if remote_host(client) is None:
        client.api.trust_env = False  # no proxy on the way to this machine
    return client


def _knock(client: "docker.DockerClient", seconds: int) -> None:
    """Connect to a daemon's socket once, to get an error without the SDK's nesting.

    The SDK also forgets to close a socket that cannot connect.

    Raises:
        OSError: no daemon listens there, or this user may not connect.
    """
    path = getattr(client.api.get_adapter(str(client.api.base_url)), "socket_path", None)
    if path is not None:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(seconds)
            door.connect(path)


def _version_of(client: "docker.DockerClient") -> str:
    """Return the version of the API that the daemon states."""
    import docker.errors  # noqa: PLC0415

    version = daemon_headers(client).get("Api-Version")
    if version is None:
        raise docker.errors.DockerException("its version is missing in its answer")
    return version


def remote_host(client: "docker.DockerClient") -> str | None:
    """Return the name of the daemon's machine, if it is another one."""
    url = urlsplit(str(client.api.base_url))
    if url.scheme.startswith("http+docker"):  # the SDK's spelling of a Unix socket
        return (url.hostname or "ssh") if "ssh" in url.scheme else None
    host = url.hostname or ""
    return None if host in _NO_HOSTS or is_loopback(host) else host

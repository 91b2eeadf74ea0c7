"""The requests to container clients and their answers, the same types for all clients.

Raises an error for names and ports that no client can use. Nothing here depends on docker or
namespaces.
"""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath

from mealkit.addresses import LOOPBACK
from mealkit.errors import failure

LABEL_KIT = "dev.mealkit.kit"
LABEL_RECIPE = "dev.mealkit.recipe"
LABEL_SALT = "dev.mealkit.salt"
LABEL_RUN = "dev.mealkit.run"
"""Set on containers that mealkit started; other containers are not listed."""
LABEL_HOME = "dev.mealkit.home"
"""The id of the home from which a container was started."""
LABEL_KEYS = "dev.mealkit.keys"
"""Whether callers need a key: ``required`` or ``none``."""

LINE_BYTES = 64 * 1024
"""A longer line of a log is read in pieces, because its length is not limited."""

# The names that Docker accepts (daemon/names), which are also safe as names of folders.
CONTAINER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_SIGNAL_EXIT = 128  # the shells' and the engines' convention: 128 + the signal's number


@dataclass(frozen=True, slots=True)
class LoadedImage:
    """An image that the engine's daemon already has, by id or tag."""

    reference: str


@dataclass(frozen=True, slots=True)
class UnpackedRoot:
    """A root file system on disk, with the settings of its image's config for running it.

    The folder is used read-only, so several containers can share it.
    """

    folder: Path
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host file or folder that is mounted read-only at an absolute path in the container."""

    source: Path
    target: str

    def __post_init__(self) -> None:
        """Raise for targets that are relative or contain ".."."""
        target = PurePosixPath(self.target)
        if not target.is_absolute() or ".." in target.parts or len(target.parts) < 2:
            raise failure(
                "CLIENT_REFUSED",
                f"the mount target {self.target!r} is not an absolute path below /",
            )

    def require_readable(self) -> None:
        """Raise for a source that only its owner can read, which would fail later, while loading.

        Raises:
            ContainerError: CLIENT_REFUSED, it is missing, or other users may not read it.
        """
        source = self.source
        try:
            mode = source.stat().st_mode
        except OSError as error:
            message = f"{source} cannot be mounted: {error.strerror}"
            raise failure("CLIENT_REFUSED", message) from error
        if not mode & 0o004:
            raise failure(
                "CLIENT_REFUSED",
                f"{source} cannot be read by the container's user (mode {mode & 0o777:04o})",
                hint=f"chmod o+r {source}",
            )


class Restart(StrEnum):
    """Whether the engine starts a container again, also after a restart of the machine."""

    NO = "no"
    ON_FAILURE = "on-failure"
    """If it ended with an error."""
    ALWAYS = "always"
    """Also one that was stopped by a command, after a restart of the machine."""
    UNLESS_STOPPED = "unless-stopped"
    """Always, except one that was stopped by a command."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One container to start.

    ``content`` decides which client can run it: docker and podman use a ``LoadedImage``, the
    sandbox an ``UnpackedRoot``. ``environment`` is added to the image's own. ``host_port`` 0 means
    any free port. ``gpus`` requests all GPUs of the machine. ``shared_memory_bytes`` is the size of
    ``/dev/shm``; None for the client's default (docker: 64 MiB, the sandbox: half the memory).
    ``fetches`` states whether the kit has access to the network, to fetch files that requests name.
    ``architecture`` is the image's, if an emulator runs it; its programs must not read what the
    kernel states about this machine's processors. ``records`` is a folder of this machine for what
    the kit records and must outlive the container. ``network`` is that of a deployment's
    front, which the container joins in addition to its own; without ``is_published`` only the front
    can call it.
    """

    name: str
    kit: str
    recipe: str
    content: LoadedImage | UnpackedRoot
    container_port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    memory_bytes: int | None = None
    shared_memory_bytes: int | None = None
    host_address: str = LOOPBACK
    host_port: int = 0
    gpus: bool = False
    fetches: bool = False
    architecture: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: int = 30
    records: Path | None = None
    network: str | None = None
    restart: Restart = Restart.NO
    is_published: bool = True

    def __post_init__(self) -> None:
        """Raise for names and ports that no client can use."""
        if not CONTAINER_NAME.fullmatch(self.name):
            raise failure(
                "USAGE",
                f"{self.name!r} cannot name a container",
                hint="use letters, digits, '.', '_' and '-', starting with a letter or digit",
            )
        if not 0 <= self.host_port <= 65535 or not 1 <= self.container_port <= 65535:
            raise failure(
                "USAGE",
                f"port {self.host_port}:{self.container_port} is not between 0 and 65535",
            )


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended. Both ``code`` and ``signal`` are None if its exit was not recorded."""

    code: int | None = None
    signal: str | None = None
    out_of_memory: bool = False

    @classmethod
    def of_code(cls, code: int, *, out_of_memory: bool = False) -> "Exit":
        """Read an exit code by the convention that 128 + n means signal n."""
        try:
            name = signal.Signals(code - _SIGNAL_EXIT).name
        except ValueError:
            return cls(code, None, out_of_memory)
        return cls(code, name, out_of_memory)

    @classmethod
    def of_signal(cls, number: int, *, out_of_memory: bool = False) -> "Exit":
        """Name the signal that ended a process."""
        try:
            name = signal.Signals(number).name
        except ValueError:  # a real-time signal
            name = f"signal {number}"
        return cls(_SIGNAL_EXIT + number, name, out_of_memory)

    def __str__(self) -> str:
        if self.out_of_memory:
            return "was killed because it used more memory than its limit"
        if self.signal is not None:
            return f"was ended by {self.signal}"
        if self.code is None:
            return "ended, and its exit code was not recorded"
        return f"exited with code {self.code}"


@dataclass(frozen=True, slots=True)
class Container:
    """A container that mealkit started; ``exit`` is None while it runs."""

    id: str
    name: str
    client: str
    kit: str
    recipe: str
    address: str
    port: int
    started_seconds: float  # since the epoch
    labels: Mapping[str, str] = field(default_factory=dict)
    exit: Exit | None = None
    restarts: int | None = None
    """How often the client started it again by itself; None: it does not count that."""

    @property
    def salt(self) -> str:
        """The salt digest of its kit; empty for images that do not state one."""
        return self.labels.get(LABEL_SALT, "")

    @property
    def needs_key(self) -> bool:
        """Whether its callers need an API key, as far as is known."""
        return self.labels.get(LABEL_KEYS) != "none"

    @property
    def url(self) -> str:
        """The address of its gateway, without a slash at the end; empty if it has no port any more.

        Docker and podman take the port away from a container that ended.
        """
        if not self.port:
            return ""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}"

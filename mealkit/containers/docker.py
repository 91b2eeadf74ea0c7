"""Docker, and podman through its Docker-compatible socket, by the SDK; never by the command line.

Raises ContainerError for mounts into an engine on another machine. Does not touch containers that
mealkit did not start.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.addresses import LOOPBACK, caller_address, is_loopback
from mealkit.containers.byte_connection import RELAY, ByteConnection, RelayConnection
from mealkit.containers.container import (
    LABEL_KIT,
    LABEL_RECIPE,
    LABEL_RUN,
    LINE_BYTES,
    Container,
    Exit,
    LoadedImage,
    Restart,
    RunSpec,
)
from mealkit.containers.container_files import ContainerContents, exported
from mealkit.containers.docker_connection import connected, remote_host
from mealkit.containers.docker_errors import EMBEDDED_HINT
from mealkit.containers.docker_network import (
    join_network,
    network_for,
    networks_of,
    remove_left,
    remove_networks,
    seconds_of,
)
from mealkit.containers.docker_options import (
    is_podman,
    missing_limits,
    options,
    require_devices,
)
from mealkit.errors import MealkitError, failure

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container as Theirs

_OPERATION_SECONDS = 60
_ANSWER_SECONDS = 10  # a daemon that hangs must not delay the choice of another client
_NOT_RUNNING = 409  # the container has ended in the meantime
_NOT_RUNNING_IN_PODMAN = "container state improper"


class DockerClient:
    """A container client that uses a daemon.

    It isolates with the engine's namespaces, a separate network, and memory and process limits.
    """

    takes = LoadedImage

    def __init__(self, name: str = "docker", base_url: str | None = None) -> None:
        """Use the daemon at ``base_url``, else that of DOCKER_HOST or the active Docker context."""
        self.name = name
        self._base_url = base_url

    @classmethod
    def podman(cls, environment: Mapping[str, str] = os.environ) -> "DockerClient":
        """Use the socket in CONTAINER_HOST, else the user's own if it exists, else the system's."""
        if url := environment.get("CONTAINER_HOST"):
            return cls("podman", url)
        runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        sockets = [Path(runtime, "podman/podman.sock"), Path("/run/podman/podman.sock")]
        chosen = next((path for path in sockets if path.exists()), sockets[0])
        return cls("podman", f"unix://{chosen}")

    def available(self) -> str | None:
        """Return the reason why this client cannot be used here; None if it can."""
        try:
            with self.connected("answer", _ANSWER_SECONDS) as client:
                client.ping()
        except MealkitError as error:
            return error.problems[0].message
        return None

    def limits(self) -> tuple[str, ...]:
        """Return what this client does not isolate, as sentences."""
        with self.connected("describe itself") as client:
            return missing_limits(client)

    def start(self, spec: RunSpec) -> Container:
        """Create and start a container; nothing is left behind if that fails.

        Raises:
            ContainerError: PORT_TAKEN, CONTAINER_EXISTS, CLIENT_REFUSED or CLIENT_UNAVAILABLE.
            StoreError: IMAGE_NOT_FOUND, the daemon does not have the image.
        """
        with self.connected(f"start {spec.name}") as client:
            host = remote_host(client)
            self._check(spec, host)
            self._check_address(spec, client)
            remove_left(client, time.time())
            with network_for(client, spec) as network:
                chosen = options(client, self.name, spec, network)
                created = client.api.create_container(**chosen)
                theirs = client.containers.get(created["Id"])
                try:
                    if spec.network:
                        join_network(client, spec.network, theirs)
                    theirs.start()
                    theirs.reload()
                    if spec.gpus and is_podman(client):
                        require_devices(self.name, theirs.attrs)
                except BaseException:
                    _destroy(theirs)
                    raise
            return self._ours(theirs, host)

    def list(self) -> list[Container]:
        """List the containers that mealkit started here, running or ended, by name."""
        with self.connected("list containers") as client:
            host = remote_host(client)
            found = client.containers.list(
                all=True, filters={"label": LABEL_RUN}, ignore_removed=True
            )
            mine = [item for item in found if item.labels.get(LABEL_RUN) == item.name]
            return sorted((self._ours(item, host) for item in mine), key=lambda item: item.name)

    def holder(self, name: str) -> Container | None:
        """Return the container that has a name, whoever started it; None if the name is free."""
        import docker.errors  # noqa: PLC0415

        with self.connected(f"look for {name}") as client:
            try:
                theirs = client.containers.get(name)
            except docker.errors.NotFound:
                return None
            # The engine also finds a container by the first digits of its id.
            return self._ours(theirs, remote_host(client)) if theirs.name == name else None

    def state(self, name: str) -> Container:
        """Read the state of one container again.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"read the state of {name}") as client:
            return self._ours(self._find(client, name), remote_host(client))

    def process(self, name: str) -> int | None:
        """Return the number of its first process on this machine; None if it is not known.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"read the state of {name}") as client:
            if remote_host(client) is not None:
                return None
            return self._find(client, name).attrs["State"].get("Pid") or None

    def connection(self, name: str, seconds: float) -> ByteConnection:
        """Return a connection to a kit that has no port of this machine.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND, or the engine does not run the relay.
        """
        with ExitStack() as stack:
            client = stack.enter_context(self.connected(f"ask {name}"))
            theirs = self._find(client, name)
            program = theirs.attrs["Path"]
            created = client.api.exec_create(
                theirs.id, [program, "-I", "-S", "-c", RELAY], stdin=True
            )
            answer: Any = client.api.exec_start(created["Id"], socket=True)
            # For TCP and Unix sockets the SDK returns a file around the socket.
            carrier = getattr(answer, "_sock", answer)
            carrier.settimeout(seconds)
            stack.callback(carrier.close)
            stack.callback(answer.close)
            return RelayConnection(carrier, stack.pop_all().close)

    def logs(self, name: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield the log's lines, the last ``tail`` of them; with ``follow``, until it ends.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND; CLIENT_UNAVAILABLE if the daemon ends.
        """
        with self.connected(f"read the log of {name}") as client:
            theirs = self._find(client, name)
            # Minutes without output are normal while a log is followed.
            if follow:
                client.api.timeout = None  # type: ignore[assignment] # requests takes None
            chunks = theirs.logs(stream=True, follow=follow, tail="all" if tail is None else tail)
            with closing(chunks):
                yield from _lines(chunks)
            theirs.reload()  # the SDK treats the end of the daemon as the end of the log

    @contextmanager
    def contents(self, name: str) -> Iterator[ContainerContents]:
        """Open the files of a container and those mounted into it, as the engine exports them.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"read the files of {name}") as client:
            theirs = self._find(client, name)
            chunks: Any = theirs.export()  # a generator of bytes; the SDK's types say str
            with closing(chunks):
                yield exported(theirs.attrs, chunks)

    def stop(self, name: str, timeout_seconds: int) -> Exit:
        """Send SIGINT, and SIGKILL after ``timeout_seconds``; return how it ended.

        A kit drains at once on SIGINT; on SIGTERM it waits for load balancers first. A container
        that has already ended is not changed. Its log stays until ``remove``.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"stop {name}") as client:
            theirs = self._find(client, name)
            _set_restart(theirs, Restart.NO)  # the engine starts one again that ends on SIGINT
            if timeout_seconds and theirs.attrs["State"].get("Running"):
                _interrupt(theirs, timeout_seconds)
            theirs.stop(timeout=0)
            theirs.reload()
            return _exit(theirs.attrs["State"]) or Exit()

    def set_restart(self, name: str, policy: Restart) -> None:
        """Change when the engine starts a container again by itself.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"change {name}") as client:
            _set_restart(self._find(client, name), policy)

    def remove(self, name: str) -> None:
        """Remove a container, its log and its network; kill it if it still runs.

        Raises:
            ContainerError: CONTAINER_NOT_FOUND.
        """
        with self.connected(f"remove {name}") as client:
            theirs = self._find(client, name)
            networks = networks_of(client, theirs.attrs)
            _destroy(theirs)
            remove_networks(networks)

    @contextmanager
    def connected(
        self, doing: str, seconds: int = _OPERATION_SECONDS
    ) -> "Iterator[docker.DockerClient]":
        """Open the SDK's client, for loading images; its errors become problems.

        ``seconds`` is how long the daemon may be silent.

        Raises:
            ContainerError: CLIENT_UNAVAILABLE or CLIENT_REFUSED, with the action that failed.
        """
        with connected(self.name, self._base_url, doing, seconds) as client:
            yield client

    def _find(self, client: "docker.DockerClient", name: str) -> "Theirs":
        import docker.errors  # noqa: PLC0415

        try:
            theirs = client.containers.get(name)
        except docker.errors.NotFound:
            theirs = None
        # The engine accepts the first digits of an id as a name, and an image may have labels. So
        # mealkit finds its containers by a label with their own name.
        if theirs is None or not theirs.name == theirs.labels.get(LABEL_RUN) == name:
            raise failure("CONTAINER_NOT_FOUND", f"{self.name} runs no kit named {name!r}")
        return theirs

    def _check(self, spec: RunSpec, remote_host: str | None) -> None:
        if remote_host and spec.mounts:
            raise failure(
                "CLIENT_REFUSED",
                f"{self.name} runs on another machine ({remote_host}), which cannot mount files"
                " of this one",
                hint=EMBEDDED_HINT,
            )
        if remote_host and spec.is_published and is_loopback(spec.host_address):
            raise failure(
                "CLIENT_REFUSED",
                f"{self.name} runs on another machine ({remote_host}), whose loopback address"
                " cannot be reached from here",
                hint="give the address to publish the port on, for example --address 0.0.0.0",
            )
        for mount in spec.mounts:
            mount.require_readable()

    def _check_address(self, spec: RunSpec, client: "docker.DockerClient") -> None:
        """Raise for an address that podman of root would publish, but not answer at.

        Its networks have no IPv6, and the kernel forwards no packets from IPv6's loopback address.
        Without root a program of podman's forwards the port, as Docker's does.
        """
        if ":" in spec.host_address and is_podman(client) and not client.info().get("Rootless"):
            raise failure(
                "CLIENT_REFUSED",
                f"{self.name} of root does not answer at IPv6 addresses ({spec.host_address})",
                hint="use --address 127.0.0.1 or 0.0.0.0, or start podman's service without root",
            )

    def _ours(self, theirs: "Theirs", remote_host: str | None) -> Container:
        attributes = theirs.attrs
        address, port = _published(attributes)
        labels = theirs.labels
        return Container(
            id=str(theirs.id),
            name=str(theirs.name),
            client=self.name,
            kit=labels.get(LABEL_KIT, ""),
            recipe=labels.get(LABEL_RECIPE, ""),
            address=remote_host or address,
            port=port,
            started_seconds=seconds_of(attributes["State"]["StartedAt"]),
            labels=labels,
            exit=_exit(attributes["State"]),
            restarts=attributes.get("RestartCount"),
        )


def _set_restart(theirs: "Theirs", policy: Restart) -> None:
    now = theirs.attrs["HostConfig"].get("RestartPolicy") or {}
    if (now.get("Name") or Restart.NO) != policy:
        import docker.errors  # noqa: PLC0415

        wanted: Any = {"Name": policy.value, "MaximumRetryCount": 0}
        with suppress(docker.errors.NotFound):  # podman before version 5 cannot change it
            theirs.update(restart_policy=wanted)


def _signal(theirs: "Theirs", name: str) -> None:
    """Send a signal to a container, unless it has ended."""
    import docker.errors  # noqa: PLC0415

    try:
        theirs.kill(signal=name)
    except docker.errors.APIError as error:
        # podman has no status for it.
        if error.status_code != _NOT_RUNNING and _NOT_RUNNING_IN_PODMAN not in str(error):
            raise


def _destroy(theirs: "Theirs") -> None:
    """Kill and remove a container; podman's forced removal first waits for the stop timeout."""
    _signal(theirs, "SIGKILL")
    theirs.remove(force=True, v=True)


def _interrupt(theirs: "Theirs", seconds: int) -> None:
    """Send SIGINT to a container; return when it has ended, or after ``seconds``."""
    import requests  # noqa: PLC0415  the SDK passes on its errors

    _signal(theirs, "SIGINT")
    # The SDK reports the end of a wait as either of the two.
    with suppress(requests.Timeout, requests.ConnectionError):
        theirs.wait(timeout=seconds)


def _published(attributes: Mapping[str, Any]) -> tuple[str, int]:
    """Read the published address of the port: from the running network, or from the request."""
    running = (attributes.get("NetworkSettings") or {}).get("Ports") or {}
    asked = (attributes.get("HostConfig") or {}).get("PortBindings") or {}
    for ports in (running, asked):
        for bindings in ports.values():
            for binding in bindings or ():
                address = binding.get("HostIp") or LOOPBACK
                port = int(binding.get("HostPort") or 0)
                return caller_address(address), port
    return LOOPBACK, 0


def _exit(state: Mapping[str, Any]) -> Exit | None:
    if state.get("Running"):
        return None
    return Exit.of_code(int(state.get("ExitCode") or 0), out_of_memory=bool(state.get("OOMKilled")))


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
        while len(held) > LINE_BYTES:
            yield held[:LINE_BYTES].decode(errors="replace")
            held = held[LINE_BYTES:]
    if held:
        yield held.decode(errors="replace")

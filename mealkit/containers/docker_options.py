"""The limits of a kit's container in Docker and podman, as the arguments of the SDK.

They are those of the SDK's ``api``, because its ``containers.create`` has no stop timeout.

Raises ContainerError for a spec that is for the sandbox.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mealkit.containers.container import (
    LABEL_KIT,
    LABEL_RECIPE,
    LABEL_RUN,
    LoadedImage,
    RunSpec,
)
from mealkit.errors import failure
from mealkit.paths import RECORDS, STATE, USER_ID

if TYPE_CHECKING:
    import docker
    from docker.types import DeviceRequest

# Many libraries start a thread per core and pool; a fork bomb is still stopped.
PIDS_LIMIT = 4096

_TMPFS = "rw,nosuid,nodev"


def options(
    client: "docker.DockerClient", name: str, spec: RunSpec, network: str
) -> dict[str, Any]:
    """Return the arguments of ``api.create_container`` for a spec; ``name`` is the client's.

    Raises:
        ContainerError: CLIENT_REFUSED, the spec is for the sandbox.
    """
    if not isinstance(spec.content, LoadedImage):
        raise failure("CLIENT_REFUSED", f"{name} needs a loaded image, not an unpacked root")
    return {
        "image": spec.content.reference,
        "platform": spec.architecture and f"linux/{spec.architecture}",
        "name": spec.name,
        "environment": {
            # The kit listens on all addresses of the container, as is its default: the engine
            # publishes one, and may reach the container over IPv6.
            **spec.environment,
            "MEALKIT_PORT": str(spec.container_port),
        },
        "labels": {
            **spec.labels,
            LABEL_KIT: spec.kit,
            LABEL_RECIPE: spec.recipe,
            LABEL_RUN: spec.name,
        },
        "ports": [(str(spec.container_port), "tcp")],
        "user": f"{USER_ID}:{USER_ID}",
        "host_config": _host_config(client, spec, network),
        "networking_config": {network: None},
        "stop_signal": "SIGTERM",
        # Otherwise `docker stop`, and a stop of the daemon, would kill it after ten seconds.
        "stop_timeout": spec.stop_seconds,
    }


def _host_config(client: "docker.DockerClient", spec: RunSpec, network: str) -> dict[str, Any]:
    from docker.types import LogConfig, Mount  # noqa: PLC0415

    podman = is_podman(client)
    return client.api.create_host_config(
        port_bindings=_published(spec),
        network_mode=network,
        restart_policy={"Name": spec.restart.value},
        mounts=[
            Mount(item.target, str(item.source.resolve()), type="bind", read_only=True)
            for item in spec.mounts
        ]
        + [Mount(f"/{RECORDS}", str(item.resolve()), type="bind") for item in _records(spec)],
        **_confinement(client, spec, podman=podman),
        mem_limit=spec.memory_bytes,
        memswap_limit=spec.memory_bytes,
        shm_size=spec.shared_memory_bytes,
        device_requests=_devices(podman=podman) if spec.gpus else None,
        # The default log of some daemons cannot be read back.
        log_config=LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
    )


def _records(spec: RunSpec) -> tuple[Path, ...]:
    return (spec.records,) if spec.records else ()


def _published(spec: RunSpec) -> dict[int | str, Any]:
    if not spec.is_published:
        return {}
    return {f"{spec.container_port}/tcp": (spec.host_address, spec.host_port or None)}


def _confinement(client: "docker.DockerClient", spec: RunSpec, *, podman: bool) -> dict[str, Any]:
    # The user owns these, because runc gives a mount the mode of its folder in the image.
    # rootless podman has only the user's own ids.
    owned = "U" if podman else f"uid={USER_ID},gid={USER_ID}"
    return {
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": confined_security(client, podman=podman),
        "pids_limit": PIDS_LIMIT,
        "tmpfs": {
            "/tmp": f"{_TMPFS},noexec,{owned},mode=1777",  # noqa: S108 - the container's own
            # Inference engines compile into their cache, so programs in it may be run.
            f"/{STATE}": f"{_TMPFS},exec,{owned},mode=0700",
            # Libraries for another architecture crash on what it states (cpuinfo in onnxruntime).
            **({"/sys/devices/system/cpu": "ro"} if spec.architecture else {}),
        },
    }


def confined_security(client: "docker.DockerClient", *, podman: bool) -> list[str]:
    """Return the security options of every container."""
    security = ["no-new-privileges:true"]
    # podman starts programs to answer with its information, and ignores the label without SELinux.
    if podman or any("selinux" in item for item in client.info().get("SecurityOptions") or ()):
        # Otherwise SELinux requires relabelling mounted files, which changes the store's files.
        security.append("label=disable")
    return security


def _devices(*, podman: bool) -> "list[DeviceRequest]":
    from docker.types import DeviceRequest  # noqa: PLC0415

    if podman:
        return [DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])]
    return [DeviceRequest(count=-1, capabilities=[["gpu", "utility", "compute"]])]


def daemon_headers(client: "docker.DockerClient") -> Mapping[str, str]:
    """Return the headers with the versions of a daemon's API.

    podman runs its runtime and its monitor for every other statement of its versions.
    """
    with client.api.get(f"{client.api.base_url}/_ping", timeout=client.api.timeout) as answer:
        headers: Mapping[str, str] = answer.headers
        return headers


def is_podman(client: "docker.DockerClient") -> bool:
    """Query the daemon itself: DOCKER_HOST can also point to podman."""
    return "Libpod-Api-Version" in daemon_headers(client)


def missing_limits(client: "docker.DockerClient") -> tuple[str, ...]:
    """Return what a daemon does not isolate, as sentences."""
    found = []
    information = client.info()
    rootless = information.get("Rootless") and information.get("CgroupVersion") == "1"
    if rootless or not information.get("MemoryLimit", True):
        found.append(
            "memory is not limited, nor the number of processes: this daemon cannot use control"
            " groups (without root it needs their version 2)"
        )
    if is_podman(client):
        found.append(
            "the kit can connect to other machines, and to containers on podman's default network;"
            " before podman 6 these can call it too"
        )
    return tuple(found)


def require_devices(name: str, attributes: Mapping[str, Any]) -> None:
    """Check that podman gave a started container the devices that were requested.

    The Docker-compatible API of podman 4 ignores the request, and starts the kit without a GPU.

    Raises:
        ContainerError: CLIENT_REFUSED, the container has no devices.
    """
    running = (attributes.get("State") or {}).get("Running")
    if running and not (attributes.get("HostConfig") or {}).get("Devices"):
        raise failure(
            "CLIENT_REFUSED",
            f"{name} did not give the kit a GPU: its service ignores the request",
            hint="use --client docker, or podman run --device nvidia.com/gpu=all with the image",
        )

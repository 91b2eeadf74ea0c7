"""What a kit's container may do in Docker and podman, as the arguments of the SDK.

Refuses a spec that is meant for the sandbox.
"""

from typing import TYPE_CHECKING, Any

from mealkit.containers.container import (
    LABEL_KIT,
    LABEL_RECIPE,
    LABEL_RUN,
    LoadedImage,
    RunSpec,
)
from mealkit.errors import failure
from mealkit.paths import STATE, USER_ID

if TYPE_CHECKING:
    import docker
    from docker.types import DeviceRequest

# Many libraries start a thread per core and pool; a fork bomb still ends here.
PIDS_LIMIT = 4096

_TMPFS = "rw,nosuid,nodev"


def options(client: "docker.DockerClient", name: str, spec: RunSpec) -> dict[str, Any]:
    """Give the arguments of ``containers.create`` for a spec; ``name`` is the client's.

    Raises:
        ContainerError: CLIENT_REFUSED, the spec is for the sandbox.
    """
    from docker.types import LogConfig, Mount  # noqa: PLC0415

    if not isinstance(spec.content, LoadedImage):
        raise failure("CLIENT_REFUSED", f"{name} takes a loaded image, not an unpacked root")
    podman = _is_podman(client)
    return {
        "image": spec.content.reference,
        "name": spec.name,
        "environment": {
            **spec.environment,
            "MEALKIT_HOST": "0.0.0.0",  # noqa: S104 - of the container; published on less
            "MEALKIT_PORT": str(spec.container_port),
        },
        "labels": {
            **spec.labels,
            LABEL_KIT: spec.kit,
            LABEL_RECIPE: spec.recipe,
            LABEL_RUN: spec.name,
        },
        "ports": {f"{spec.container_port}/tcp": (spec.host_address, spec.host_port or None)},
        "mounts": [
            Mount(item.target, str(item.source.resolve()), type="bind", read_only=True)
            for item in spec.mounts
        ],
        **_confinement(client, podman=podman),
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,
        "shm_size": spec.shared_memory_bytes,
        "device_requests": _devices(podman=podman) if spec.gpus else None,
        "stop_signal": "SIGTERM",
        # Some daemons log elsewhere by default, from where nothing can be read back.
        "log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"}),
        "detach": True,
    }


def _confinement(client: "docker.DockerClient", *, podman: bool) -> dict[str, Any]:
    security = ["no-new-privileges:true"]
    if any("selinux" in item for item in client.info().get("SecurityOptions") or ()):
        # Otherwise mounted files need a relabelling, which changes the store's files.
        security.append("label=disable")
    # The user owns these, since runc gives a mount the mode that its place has in the image.
    # podman knows no other ids than the user's own.
    owned = "U" if podman else f"uid={USER_ID},gid={USER_ID}"
    return {
        "user": f"{USER_ID}:{USER_ID}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": security,
        "pids_limit": PIDS_LIMIT,
        "tmpfs": {
            "/tmp": f"{_TMPFS},noexec,{owned},mode=1777",  # noqa: S108 - the container's own
            # Engines compile into their cache, so this one may hold programs.
            f"/{STATE}": f"{_TMPFS},exec,{owned},mode=0700",
        },
    }


def _devices(*, podman: bool) -> "list[DeviceRequest]":
    from docker.types import DeviceRequest  # noqa: PLC0415

    if podman:
        return [DeviceRequest(driver="cdi", device_ids=["nvidia.com/gpu=all"])]
    return [DeviceRequest(count=-1, capabilities=[["gpu", "utility", "compute"]])]


def _is_podman(client: "docker.DockerClient") -> bool:
    """Ask the daemon itself: DOCKER_HOST can lead to podman too."""
    components = client.version().get("Components") or ()
    return any("podman" in item.get("Name", "").lower() for item in components)

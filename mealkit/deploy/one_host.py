"""What compose and podman have in common: one container on one machine."""

from mealkit.deploy.workload import MIB, Workload
from mealkit.errors import failure

KEYS_TARGET = "mealkit-keys"
"""The name of the file of keys in the container, below /run/secrets."""
PIDS = 4096
"""As in `mealkit run`: many libraries start a thread per core and pool."""
TMP_BYTES = 1024 * MIB

_PAGE_BYTES = 4096


def require_one_host(workload: Workload, who: str) -> None:
    """Check that deploy.yaml asks for nothing that needs a cluster.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``.
    """
    file = workload.file
    faults = {
        f"replicas: {file.replicas}: one machine's port is for one container": file.replicas > 1,
        f"weights: {{in: {file.weights.place.value}}}: {who} starts the image with its weights": (
            file.weights.place.value != "image"
        ),
        f"secrets: {who} has no secrets as environment variables": bool(file.secrets),
        "rollout: {gate: candidate}: on one machine, mealkit up has this gate": (
            file.rollout.gate != "none"
        ),
    }
    for fault, is_there in faults.items():
        if is_there:
            raise failure("DEPLOY_UNFIT", fault, where="deploy.yaml")


def user_of(workload: Workload) -> str:
    """Return the container's user and group."""
    user = 65532 if workload.file.user == "platform" else workload.file.user
    return f"{user}:{user}"


def memory_of(workload: Workload) -> int:
    """Return the container's memory in whole pages: the kernel rounds limits down."""
    return -(-workload.memory_bytes // _PAGE_BYTES) * _PAGE_BYTES


def host_of(workload: Workload) -> str:
    """Return the machine's address and port that callers use."""
    publish = workload.file.publish
    host = f"[{publish.address}]" if ":" in publish.address else publish.address
    return f"{host}:{publish.port or workload.port}"


def has_way_out(workload: Workload) -> bool:
    """Return whether the kit calls other machines: files of requests, a database, a collector."""
    file = workload.file
    reports = any(name.startswith("OTEL_") for name in file.environment)
    return workload.fetches or bool(file.network.egress) or reports

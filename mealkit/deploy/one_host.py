"""What compose, podman and Swarm have in common: secrets as files, and a container's own limits."""

from collections.abc import Iterator
from dataclasses import dataclass

from mealkit.deploy.workload import DATABASE_VARIABLE, MIB, Workload
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
        f"secrets: {who} has no secrets as environment variables": has_secret_variables(workload),
        "rollout: {gate: candidate}: on one machine, mealkit up has this gate": (
            file.rollout.gate != "none"
        ),
    }
    for fault, is_there in faults.items():
        if is_there:
            raise failure("DEPLOY_UNFIT", fault, where="deploy.yaml")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret that a container reads from a file below /run/secrets."""

    variable: str
    """The variable that has the file's path."""
    target: str
    """The file's name in the container."""
    secret: str
    """The secret's name, where an engine keeps secrets."""
    file: str
    """The name of its file, where secrets are files of the machine."""

    @property
    def path(self) -> str:
        """The file's path in the container."""
        return f"/run/secrets/{self.target}"


def secret_files(workload: Workload) -> Iterator[SecretFile]:
    """Yield the secrets besides the callers' keys: of the audit log, and the database's address."""
    found = {
        "MEALKIT_AUDIT_KEY_FILE": ("mealkit-audit-key", workload.file.audit_key),
        f"{DATABASE_VARIABLE}_FILE": (
            "mealkit-usage-database",
            workload.file.secrets.get(DATABASE_VARIABLE),
        ),
    }
    for variable, (target, stated) in found.items():
        if stated is not None:
            yield SecretFile(variable, target, stated.secret, stated.key)


def has_secret_variables(workload: Workload) -> bool:
    """Return whether deploy.yaml has a secret for a variable that has no form as a file."""
    return bool({*workload.file.secrets} - {DATABASE_VARIABLE})


def variables_of(workload: Workload, hosts: tuple[str, ...]) -> dict[str, str]:
    """Return the container's variables, with the paths of its secrets."""
    keys = f"/run/secrets/{KEYS_TARGET}" if workload.keys_secret is not None else None
    paths = {item.variable: item.path for item in secret_files(workload)}
    return dict(sorted({**workload.environment(hosts, keys), **paths}.items()))


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
    shares = any(name.startswith(DATABASE_VARIABLE) for name in {*file.environment, *file.secrets})
    return workload.fetches or bool(file.network.egress) or reports or shares

"""The services of a deployment in Docker Swarm, in the form of the engine's API.

One service answers callers. Before an upgrade, a candidate (one replica that publishes no port)
and a job that tests it run for a while. Names of networks and secrets are replaced by their ids by
the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mealkit.addresses import is_loopback
from mealkit.deploy.one_host import (
    PIDS,
    TMP_BYTES,
    has_secret_variables,
    memory_of,
    user_of,
    variables_of,
)
from mealkit.deploy.workload import Workload
from mealkit.errors import failure
from mealkit.paths import STATE

Spec = dict[str, Any]

LABEL = "dev.mealkit"
LABEL_PORT = f"{LABEL}.port"
_SECOND = 1_000_000_000
_SECRETS = "/run/secrets"
KEYS_TARGET = "mealkit-keys"
TEST_KEY_TARGET = "mealkit-test-key"
_RESTART_DELAY_SECONDS = 5
_SERVICE, _CANDIDATE, _TEST = "service", "candidate", "test"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision of a deployment: what runs, and who wanted it when and why."""

    number: int
    kit: str
    recipe: str
    image: str
    who: str
    when: str
    why: str

    @classmethod
    def of(cls, workload: Workload, number: int, who: str, why: str, now: datetime) -> "Revision":
        """Return the revision of a workload."""
        when = now.astimezone(UTC).isoformat(timespec="seconds")
        recipe = str(workload.lock.recipe)
        return cls(number, workload.kit, recipe, str(workload.image), who, when, why)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its service."""
        return {
            f"{LABEL}.revision": str(self.number),
            f"{LABEL}.kit": self.kit,
            f"{LABEL}.recipe": self.recipe,
            f"{LABEL}.image": self.image,
            f"{LABEL}.who": self.who,
            f"{LABEL}.when": self.when,
            f"{LABEL}.why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Attached:
    """What the swarm already has for a service: its network and its secrets, by their ids."""

    network: str
    keys: Mapping[str, str] | None = None
    """The reference to the secret with the keys' hashes: SecretID and SecretName."""
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The references to the other secrets, by the names of their files."""


def service_spec(workload: Workload, revision: Revision, attached: Attached) -> Spec:
    """Return the service that answers callers."""
    require_swarm(workload)
    published, by_host = _published(workload), is_published_by_host(workload)
    update = {
        "Parallelism": 1,
        "Delay": 0,
        "FailureAction": "rollback",
        "Monitor": max(1, workload.file.rollout.settle_seconds) * _SECOND,
        "MaxFailureRatio": 0,
        # Two containers of one machine cannot have the same port of the machine.
        "Order": "stop-first" if by_host or stops_first(workload) else "start-first",
    }
    return {
        "Name": workload.name,
        "Labels": {**revision.labels, **_part(workload, _SERVICE)},
        "TaskTemplate": {
            **_task(workload, revision, attached, _SERVICE),
            "RestartPolicy": {"Condition": _RESTART[workload.file.restart], **_DELAY},
        },
        "Mode": {"Replicated": {"Replicas": workload.file.replicas}},
        "UpdateConfig": update,
        "RollbackConfig": {**update, "FailureAction": "pause"},
        "EndpointSpec": {"Mode": "vip" if published and not by_host else "dnsrr"}
        | ({"Ports": published} if published else {}),
    }


def candidate_spec(workload: Workload, revision: Revision, attached: Attached) -> Spec:
    """Return the service that is tested before it replaces the one that answers callers."""
    return {
        "Name": candidate_name(workload.name),
        "Labels": {**revision.labels, **_part(workload, _CANDIDATE)},
        "TaskTemplate": {
            **_task(workload, revision, attached, _CANDIDATE),
            "RestartPolicy": {"Condition": "none"},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def job_spec(
    workload: Workload, revision: Revision, attached: Attached, key: Mapping[str, str] | None
) -> Spec:
    """Return the job that tests the candidate's claims, by the image's own command ``test``."""
    options: list[str] = []
    for claim in workload.file.rollout.claims:
        options += ["--claim", claim]
    if not workload.file.rollout.claims:
        options.append("--cases-only")
    if key is not None:
        options += ["--api-key-file", f"{_SECRETS}/{TEST_KEY_TARGET}"]
    url = f"http://{candidate_name(workload.name)}:{workload.port}"
    task = _task(workload, revision, attached, _TEST)
    container = {
        **task["ContainerSpec"],
        "Args": ["test", url, "--json", *options],
        "Env": [],
        "Healthcheck": {"Test": ["NONE"]},
        "Secrets": [_secret(workload, key, TEST_KEY_TARGET)] if key else [],
    }
    # It computes nothing with the model, so it needs no GPU.
    memory = {"MemoryBytes": memory_of(workload)}
    return {
        "Name": job_name(workload.name),
        "Labels": {**revision.labels, **_part(workload, _TEST)},
        "TaskTemplate": {
            **task,
            "ContainerSpec": container,
            "Resources": {"Limits": {**memory, "Pids": PIDS}},
            "RestartPolicy": {"Condition": "none"},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr"},
    }


def candidate_name(deployment: str) -> str:
    """Return the name of the candidate's service."""
    return f"{deployment}-{_CANDIDATE}"


def job_name(deployment: str) -> str:
    """Return the name of the test's service."""
    return f"{deployment}-{_TEST}"


def network_name(deployment: str) -> str:
    """Return the name of a deployment's network."""
    return f"{deployment}-network"


_DELAY = {"Delay": _RESTART_DELAY_SECONDS * _SECOND}
_RESTART = {"no": "none", "on-failure": "on-failure", "always": "any", "unless-stopped": "any"}


def _task(workload: Workload, revision: Revision, attached: Attached, part: str) -> Spec:
    return {
        "ContainerSpec": _container(workload, revision, attached, part),
        "Resources": _resources(workload),
        "Placement": _placement(workload),
        "Networks": [{"Target": attached.network}],
        # The default log of some engines cannot be read back by Swarm.
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
    }


def _container(workload: Workload, revision: Revision, attached: Attached, part: str) -> Spec:
    secrets = {**({KEYS_TARGET: attached.keys} if attached.keys else {}), **attached.files}
    return {
        "Image": str(workload.image),
        "Labels": {f"{LABEL}.revision": str(revision.number), **_part(workload, part)},
        "Env": [
            f"{name}={untemplated(value)}"
            for name, value in variables_of(workload, swarm_hosts(workload.name)).items()
        ],
        "User": user_of(workload),
        "ReadOnly": True,
        "CapabilityDrop": ["ALL"],
        "Privileges": {"NoNewPrivileges": True},
        "Mounts": _mounts(workload, is_service=part == _SERVICE),
        "StopSignal": "SIGTERM",
        "StopGracePeriod": workload.stop_seconds * _SECOND,
        # The test, interval and retries are those of the image.
        "Healthcheck": {"StartPeriod": workload.start_seconds * _SECOND},
        "Secrets": [_secret(workload, item, target) for target, item in secrets.items()],
    }


def _secret(workload: Workload, reference: Mapping[str, str], target: str) -> Spec:
    user, _, group = user_of(workload).partition(":")
    owner = {"UID": user, "GID": group, "Mode": 0o440}
    return {**reference, "File": {"Name": target, **owner}}


def _mounts(workload: Workload, *, is_service: bool) -> list[Spec]:
    found = [
        _tmpfs("/tmp", TMP_BYTES, 0o1777),  # noqa: S108  the container's own
        # A tmpfs of Swarm belongs to root, and its options have no owner; the container has one
        # user only.
        _tmpfs(f"/{STATE}", workload.state_bytes, 0o1777)
        if workload.file.state.place == "memory"
        else _volume(workload, stays=is_service and workload.file.state.place == "pvc"),
    ]
    if workload.shm_bytes:
        found.append(_tmpfs("/dev/shm", workload.shm_bytes, 0o1777))  # noqa: S108
    return found


def _volume(workload: Workload, *, stays: bool) -> Spec:
    """Return the volume for the state: a new one for each container, or one that stays.

    An engine fills a new volume with the folder of the image, whose owner is the container's user.
    """
    if not stays:
        return {"Type": "volume", "Target": f"/{STATE}"}
    return {"Type": "volume", "Source": f"{workload.name}-state", "Target": f"/{STATE}"}


def _tmpfs(target: str, size_bytes: int, mode: int) -> Spec:
    return {
        "Type": "tmpfs",
        "Target": target,
        "TmpfsOptions": {"SizeBytes": size_bytes, "Mode": mode},
    }


def _resources(workload: Workload) -> Spec:
    wanted = workload.file.resources
    memory = {"MemoryBytes": memory_of(workload)}
    limits: Spec = {**memory, "Pids": PIDS}
    if wanted.cpu_limit is not None:
        limits["NanoCPUs"] = int(wanted.cpu_limit * _SECOND)
    reserved: Spec = {**memory, "NanoCPUs": int(wanted.cpu * _SECOND)}
    if workload.gpus is not None:
        unit = {"Kind": generic_resource(workload.gpus.resource), "Value": workload.gpus.count}
        reserved["GenericResources"] = [{"DiscreteResourceSpec": unit}]
    return {"Limits": limits, "Reservations": reserved}


def generic_resource(name: str) -> str:
    """Return the name of GPUs as a generic resource of nodes, by the convention of Docker."""
    return "NVIDIA-GPU" if name == "nvidia.com/gpu" else name


def _placement(workload: Workload) -> Spec:
    architectures = workload.lock.requirements.architectures
    labels = sorted(workload.file.node_selector.items())
    return {
        "Constraints": [f"node.labels.{key}=={value}" for key, value in labels],
        "Preferences": [{"Spread": {"SpreadDescriptor": "node.id"}}],
        "Platforms": [{"OS": "linux", "Architecture": item.value} for item in architectures],
    }


def _published(workload: Workload) -> list[Spec]:
    if not publishes(workload):
        return []
    return [
        {
            "Protocol": "tcp",
            "TargetPort": workload.port,
            "PublishedPort": workload.file.publish.port or workload.port,
            "PublishMode": workload.file.publish.mode,
        }
    ]


def publishes(workload: Workload) -> bool:
    """Return whether callers outside of the swarm reach the kit.

    Swarm publishes a port at all addresses of its nodes. So a deployment whose address is that of
    this machine only publishes none.
    """
    return workload.file.publish.address in {"0.0.0.0", "::"}  # noqa: S104  compared, not bound


def is_published_by_host(workload: Workload) -> bool:
    """Return whether a replica takes its node's port, so that a node has at most one."""
    return publishes(workload) and workload.file.publish.mode == "host"


def stops_first(workload: Workload) -> bool:
    """Return whether an old replica ends before a new one starts.

    There may be no room for both, and two containers must not write to one volume.
    """
    return workload.file.rollout.max_surge == 0 or workload.file.state.place == "pvc"


def require_swarm(workload: Workload) -> None:
    """Check that deploy.yaml asks for nothing that Swarm cannot do.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``.
    """
    file = workload.file
    faults = {
        f"weights: {{in: {file.weights.place.value}}}: Swarm starts the image with its weights": (
            file.weights.place.value != "image"
        ),
        "secrets: Swarm has no secrets as environment variables": has_secret_variables(workload),
        f"publish: {{address: {file.publish.address}}}: Swarm publishes at all addresses; write"
        " 0.0.0.0, or leave it out to publish none": (
            not publishes(workload) and not is_loopback(file.publish.address)
        ),
    }
    for fault, is_there in faults.items():
        if is_there:
            raise failure("DEPLOY_UNFIT", fault, where="deploy.yaml")


def swarm_hosts(name: str) -> tuple[str, ...]:
    """Return the names by which containers of the network reach a deployment."""
    return (name, f"tasks.{name}", candidate_name(name))


def untemplated(text: str) -> str:
    """Return a text in which Swarm finds no template of Go's, such as {{.Node.ID}}."""
    return text.replace("{{", '{{"{{"}}')


def _part(workload: Workload, part: str) -> dict[str, str]:
    return {
        f"{LABEL}.deployment": workload.name,
        f"{LABEL}.part": part,
        LABEL_PORT: str(workload.port),
    }

"""Applies a deployment to a Swarm: nodes, candidate, service, and the way back if a gate fails.

Swarm itself replaces the containers and returns to the revision before, so a command that is killed
leaves nothing half done. What a gate refused is reported with the gate, the measured and the
required value, and the owner of the cause.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mealkit.clusters.swarm_nodes import nodes_of
from mealkit.clusters.swarm_services import (
    Service,
    create_network,
    find_network,
    find_ours,
    find_secret,
    remove_unused_secrets,
    require_manager,
    secret_for,
    secret_name,
    secrets_of,
)
from mealkit.containers.docker import DockerClient
from mealkit.deploy.one_host import secret_files
from mealkit.deploy.spec_difference import spec_difference
from mealkit.deploy.swarm_service import (
    KEYS_TARGET,
    LABEL_PORT,
    Attached,
    Revision,
    network_name,
    require_swarm,
    service_spec,
)
from mealkit.deploy.workload import Workload
from mealkit.errors import failure
from mealkit.pipeline.cluster.swarm_change import Change
from mealkit.pipeline.cluster.swarm_fit import require_nodes
from mealkit.pipeline.cluster.swarm_gate import (
    Candidate,
    remove_candidate,
    try_candidate,
)
from mealkit.pipeline.cluster.swarm_history import (
    Past,
    Wish,
    forget,
    history,
    number_of,
    past_revision,
    store_revision,
)
from mealkit.pipeline.run.api_keys import list_keys
from mealkit.pipeline.run.readiness import Trust
from mealkit.progress import Progress

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True, slots=True)
class Applied:
    """What a command did."""

    name: str
    revision: Revision
    change: Literal["created", "upgraded", "unchanged", "rolled back"]
    replicas: int
    published: str | None
    """Where callers outside of the swarm reach it; None: only in its network."""
    network: str
    port: int
    """The kit's port in the network."""


def keys_in(file: Path | None) -> bytes | None:
    """Return the content of a file of keys.

    Raises:
        ContainerError: ``CONFIG_INVALID``, it is not a file of keys.
        StoreError: it cannot be read.
    """
    return None if file is None else "".join(f"{item.line}\n" for item in list_keys(file)).encode()


@contextmanager
def swarm(doing: str) -> Iterator["docker.DockerClient"]:
    """Open the manager that DOCKER_HOST, or the active Docker context, names.

    Raises:
        DeploymentError: ``SWARM_MISSING``, the engine is not a manager of a swarm.
        ContainerError: the engine cannot be asked, or refuses.
    """
    with DockerClient().connected(doing) as sdk:
        require_manager(sdk)
        yield sdk


def apply_to_swarm(
    workload: Workload,
    keys: bytes | None,
    wish: Wish,
    progress: Progress,
    *,
    check: bool = True,
) -> Applied:
    """Create or upgrade a deployment, and wait until its new revision answers.

    ``keys`` is the content of the file of keys; None: the secret that deploy.yaml names, or the
    keys that the deployment has. ``check`` compares the nodes with the kit first.

    Raises:
        DeploymentError: ``ROLLOUT_FAILED`` and its cause; the revision before answers callers.
        PreflightError: no node fits.
    """
    name = workload.name
    with swarm(f"deploy {name}") as sdk:
        require_swarm(workload)
        service = find_ours(sdk, name)
        remove_candidate(sdk, name)
        past = history(sdk, name, service)
        if check:
            require_nodes(workload, nodes_of(sdk), is_upgrade=service is not None)
        attached = attach(sdk, workload, keys, service)
        number = 1 + max((item.revision.number for item in past), default=number_of(service))
        revision = Revision.of(workload, number, wish.who, wish.why, wish.when)
        spec = service_spec(workload, revision, attached)
        if service is not None and not difference(past, service, spec):
            serving = replace(revision, number=number_of(service))
            return _applied(workload, serving, "unchanged", spec)
        store_revision(sdk, name, revision, spec)
        trust = Trust.of_image(workload.memory_bytes)
        change = Change(
            sdk,
            workload.rollout_seconds,
            revision,
            spec,
            trust,
            progress,
            workload.lock.requirements.memory_bytes,
        )
        if workload.file.rollout.gate == "candidate":
            tried = Candidate(workload, revision, attached, keys, trust)
            refused = try_candidate(sdk, tried, progress)
            if refused is not None:
                raise change.refused(refused, service)
        change.make(service)
        remove_unused_secrets(sdk, name)
        forget(sdk, name, history(sdk, name, find_ours(sdk, name)), workload.file.rollout.history)
        return _applied(workload, revision, "upgraded" if service else "created", spec)


def roll_back_swarm(name: str, number: int | None, wish: Wish, progress: Progress) -> Applied:
    """Return to a stored revision: it becomes a new one. Keys stay those of now.

    Raises:
        DeploymentError: ``CLUSTER_NOT_DEPLOYED``, no such deployment or revision;
            ``ROLLOUT_FAILED``, the revision did not become ready, and the one before answers.
    """
    with swarm(f"roll back {name}") as sdk:
        service = require_ours(sdk, name)
        remove_candidate(sdk, name)
        past = history(sdk, name, service)
        chosen = past_revision(past, name, number)
        newest = 1 + max(item.revision.number for item in past)
        why = wish.why or f"back to revision {chosen.revision.number}"
        when = wish.when.isoformat(timespec="seconds")
        revision = replace(chosen.revision, number=newest, who=wish.who, why=why, when=when)
        spec = _again(chosen, revision, service)
        store_revision(sdk, name, revision, spec)
        trust = Trust.of_image(spec["TaskTemplate"]["Resources"]["Limits"]["MemoryBytes"])
        change = Change(sdk, _seconds_of(spec), revision, spec, trust, progress)
        change.make(service)
        remove_unused_secrets(sdk, name)
        replicas = spec["Mode"]["Replicated"]["Replicas"]
        port = int(spec["Labels"][LABEL_PORT])
        network = network_name(name)
        return Applied(name, revision, "rolled back", replicas, published(spec), network, port)


def require_ours(sdk: "docker.DockerClient", name: str) -> Service:
    """Return the service of a deployment.

    Raises:
        DeploymentError: ``CLUSTER_NOT_DEPLOYED``.
    """
    found = find_ours(sdk, name)
    if found is None:
        raise failure(
            "CLUSTER_NOT_DEPLOYED",
            f"the swarm has no deployment {name!r}",
            hint="mealkit deploy apply TARGET --target swarm",
        )
    return found


def attach(
    sdk: "docker.DockerClient",
    workload: Workload,
    keys: bytes | None,
    service: Service | None,
    *,
    dry: bool = False,
) -> Attached:
    """Return network and secrets of a deployment; what is missing is created, unless ``dry``.

    Raises:
        DeploymentError: ``SWARM_SECRET``, a secret that deploy.yaml names does not exist.
    """
    name = workload.name
    network = find_network(sdk, network_name(name)) or ""
    if not network and not dry:
        network = create_network(sdk, name, network_name(name))
    files = {item.target: _existing(sdk, item.secret) for item in secret_files(workload)}
    return Attached(network, _keys(sdk, workload, keys, service, dry=dry), files)


def _keys(
    sdk: "docker.DockerClient",
    workload: Workload,
    keys: bytes | None,
    service: Service | None,
    *,
    dry: bool,
) -> Mapping[str, str] | None:
    """Return the reference to the secret with the callers' keys; None: they need none."""
    if workload.keys_secret is None:
        return None
    if keys is not None and dry:
        return {"SecretName": secret_name(workload.name, "keys", keys)}
    if keys is not None:
        return secret_for(sdk, workload.name, "keys", keys)
    kept = _keys_of(service.spec) if service else None
    if kept is not None and workload.file.keys.secret is None:
        return kept
    return _existing(sdk, workload.keys_secret)


def _existing(sdk: "docker.DockerClient", name: str) -> Mapping[str, str]:
    found = find_secret(sdk, name)
    if found is None:
        raise failure("SWARM_SECRET", f"the swarm has no secret {name!r}")
    return found


def _keys_of(spec: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Return the reference to the secret of the keys that a service uses now."""
    for item in secrets_of(spec):
        if (item.get("File") or {}).get("Name") == KEYS_TARGET:
            return {"SecretID": item["SecretID"], "SecretName": item["SecretName"]}
    return None


def _again(chosen: Past, revision: Revision, service: Service) -> dict[str, Any]:
    """Return the spec of an earlier revision as a new one, with the keys of now."""
    task = chosen.spec["TaskTemplate"]
    container = task["ContainerSpec"]
    kept = [
        item for item in secrets_of(chosen.spec) if (item["File"] or {}).get("Name") != KEYS_TARGET
    ]
    now = [item for item in secrets_of(service.spec) if item["File"].get("Name") == KEYS_TARGET]
    label = {"dev.mealkit.revision": str(revision.number)}
    container = {
        **container,
        "Labels": {**container["Labels"], **label},
        "Secrets": [*now, *kept],
    }
    return {
        **chosen.spec,
        "Labels": {**chosen.spec["Labels"], **revision.labels},
        "TaskTemplate": {**task, "ContainerSpec": container},
    }


def _seconds_of(spec: Mapping[str, Any]) -> int:
    """Return how many seconds a container of a spec may take to be ready."""
    period = spec["TaskTemplate"]["ContainerSpec"]["Healthcheck"]["StartPeriod"]
    return int(period // 1_000_000_000) + 600


def difference(past: list[Past], service: Service, spec: Mapping[str, Any]) -> list[str]:
    """Return a line for each field of a service that a new spec would change."""
    number = number_of(service)
    given = next((item.spec for item in past if item.revision.number == number), {})
    return spec_difference(service.spec, spec, given)


def published(spec: Mapping[str, Any]) -> str | None:
    """Return where a service is published, in words."""
    ports = (spec.get("EndpointSpec") or {}).get("Ports") or []
    if not ports:
        return None
    where = "of every node" if ports[0]["PublishMode"] == "ingress" else "of nodes with a replica"
    return f"port {ports[0]['PublishedPort']} {where}"


def _applied(
    workload: Workload,
    revision: Revision,
    change: Literal["created", "upgraded", "unchanged"],
    spec: Mapping[str, Any],
) -> Applied:
    replicas, network = workload.file.replicas, network_name(workload.name)
    return Applied(
        workload.name, revision, change, replicas, published(spec), network, workload.port
    )

"""Services, networks, secrets and revisions of a Swarm, by Docker's SDK.

A service's spec is the form of the engine's API. A revision is a config of the Swarm: configs are
replicated among the managers and never change, while a service itself remembers only the spec
before the current one. What mealkit did not create is never changed or removed.

Raises DeploymentError if the engine is not a manager of a swarm, and for what does not exist.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mealkit.clusters.swarm_tasks import api_of
from mealkit.errors import failure
from mealkit.untrusted import UntrustedError, parse_json_object

if TYPE_CHECKING:
    import docker

LABEL_DEPLOYMENT = "dev.mealkit.deployment"
"""The label of everything that belongs to a deployment, with its name."""
LABEL_PART = "dev.mealkit.part"
"""What an object of a deployment is for: service, candidate, test, keys, revision, network."""

Spec = dict[str, Any]

# The engine's limit for a config is 1000 KiB, in older versions 500 KB.
_MOST_PART_BYTES = 400_000
_CONFLICT = 409
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Service:
    """A service as Swarm has it."""

    id: str
    name: str
    version: int
    spec: Spec
    previous: Spec | None
    """The spec before, to which Swarm itself can return."""
    update_state: str
    """"" before the first update; updating, paused, completed, rollback_started, ..."""
    update_message: str
    update_started: str

    @property
    def labels(self) -> Mapping[str, str]:
        """The service's labels."""
        return self.spec.get("Labels") or {}


def require_manager(sdk: "docker.DockerClient") -> None:
    """Check that an engine is a manager of a swarm.

    Raises:
        DeploymentError: ``SWARM_MISSING``.
    """
    swarm = sdk.info().get("Swarm") or {}
    if swarm.get("LocalNodeState") != "active":
        state = swarm.get("LocalNodeState") or "unknown"
        raise failure("SWARM_MISSING", f"the engine is not part of a swarm (its state: {state})")
    if not swarm.get("ControlAvailable"):
        managers = [item.get("Addr", "") for item in swarm.get("RemoteManagers") or []]
        raise failure(
            "SWARM_MISSING",
            "the engine is a worker of a swarm, and only managers know its services",
            hint=f"DOCKER_HOST=ssh://HOST of a manager: {', '.join(managers)}",
        )


def find_service(sdk: "docker.DockerClient", name: str) -> Service | None:
    """Return a service by its exact name; None if there is none."""
    for form in api_of(sdk).services(filters={"name": name}):
        if form["Spec"]["Name"] == name:
            update = form.get("UpdateStatus") or {}
            return Service(
                form["ID"],
                name,
                form["Version"]["Index"],
                form["Spec"],
                form.get("PreviousSpec"),
                update.get("State") or "",
                update.get("Message") or "",
                update.get("StartedAt") or "",
            )
    return None


def find_ours(sdk: "docker.DockerClient", name: str) -> Service | None:
    """Return the service of a deployment; None if there is none.

    Raises:
        DeploymentError: ``SWARM_FOREIGN``, a service of this name is not mealkit's.
    """
    found = find_service(sdk, name)
    if found is not None and found.labels.get(LABEL_DEPLOYMENT) != name:
        raise failure(
            "SWARM_FOREIGN",
            f"the swarm has a service {name!r} that mealkit did not create",
            hint="state another name in deploy.yaml",
        )
    return found


def create_service(sdk: "docker.DockerClient", spec: Spec) -> None:
    """Create a service. The engine gets this user's credentials for the image's registry."""
    api_of(sdk).create_service(
        spec["TaskTemplate"],
        name=spec["Name"],
        labels=spec["Labels"],
        mode=spec["Mode"],
        update_config=spec.get("UpdateConfig"),
        rollback_config=spec.get("RollbackConfig"),
        endpoint_spec=spec.get("EndpointSpec"),
    )


def update_service(sdk: "docker.DockerClient", service: Service, spec: Spec) -> None:
    """Replace a service's whole spec, unless it has changed since it was read."""
    api_of(sdk).update_service(
        service.id,
        service.version,
        spec["TaskTemplate"],
        name=spec["Name"],
        labels=spec["Labels"],
        mode=spec["Mode"],
        update_config=spec.get("UpdateConfig"),
        rollback_config=spec.get("RollbackConfig"),
        endpoint_spec=spec.get("EndpointSpec"),
    )


def remove_service(sdk: "docker.DockerClient", name: str) -> None:
    """Remove a service of mealkit's; nothing happens if it does not exist."""
    found = find_service(sdk, name)
    if found is not None and LABEL_DEPLOYMENT in found.labels:
        import docker.errors  # noqa: PLC0415

        with suppress(docker.errors.NotFound):
            api_of(sdk).remove_service(found.id)


def find_network(sdk: "docker.DockerClient", name: str) -> str | None:
    """Return the id of an overlay network; None if there is none of this name."""
    for network in sdk.networks.list(names=[name], filters={"driver": "overlay"}):
        if network.name == name:
            return str(network.id)
    return None


def create_network(sdk: "docker.DockerClient", deployment: str, name: str) -> str:
    """Create a network that other services and containers may join to call the kit."""
    made = sdk.networks.create(
        name,
        driver="overlay",
        attachable=True,
        labels={LABEL_DEPLOYMENT: deployment, LABEL_PART: "network"},
    )
    return str(made.id)


def find_secret(sdk: "docker.DockerClient", name: str) -> Spec | None:
    """Return the reference to a secret; None if there is none of this name."""
    for secret in api_of(sdk).secrets(filters={"name": name}):
        if secret["Spec"]["Name"] == name:
            return {"SecretID": secret["ID"], "SecretName": name}
    return None


def secret_name(deployment: str, part: str, data: bytes) -> str:
    """Return the name of a secret with this content: secrets cannot change."""
    return f"{deployment}-{part}-{hashlib.sha256(data).hexdigest()[:_DIGITS]}"


def secret_for(sdk: "docker.DockerClient", deployment: str, part: str, data: bytes) -> Spec:
    """Return the reference to a secret with this content, which is created unless it exists."""
    name = secret_name(deployment, part, data)
    found = find_secret(sdk, name)
    if found is None:
        labels = {LABEL_DEPLOYMENT: deployment, LABEL_PART: part}
        found = {
            "SecretID": api_of(sdk).create_secret(name, data, labels)["ID"],
            "SecretName": name,
        }
    return found


def remove_unused_secrets(sdk: "docker.DockerClient", deployment: str) -> None:
    """Remove a deployment's secrets that neither its services nor their previous specs use."""
    import docker.errors  # noqa: PLC0415

    labelled = {"label": f"{LABEL_DEPLOYMENT}={deployment}"}
    services = api_of(sdk).services(filters=labelled)
    specs = [form.get(key) or {} for form in services for key in ("Spec", "PreviousSpec")]
    used = {item["SecretID"] for spec in specs for item in secrets_of(spec)}
    for secret in api_of(sdk).secrets(filters=labelled):
        if secret["ID"] not in used:
            with suppress(docker.errors.APIError):  # a service that is ending still uses it
                api_of(sdk).remove_secret(secret["ID"])


def secrets_of(spec: Mapping[str, Any]) -> Iterable[Spec]:
    """Return the references to secrets in a service's spec."""
    container = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return container.get("Secrets") or ()


def keep_part(
    sdk: "docker.DockerClient",
    deployment: str,
    part: str,
    number: int,
    form: Spec,
    *,
    may_exist: bool = False,
) -> None:
    """Store a value of a revision in a config, such as who wanted it.

    Raises:
        DeploymentError: ``SWARM_BUSY``, another command stored it first.
    """
    import docker.errors  # noqa: PLC0415

    data = json.dumps(form, sort_keys=True).encode()
    if len(data) > _MOST_PART_BYTES:
        raise failure(
            "DEPLOY_UNFIT",
            "the revision is too large for a config of the swarm",
            measured=f"{len(data)} bytes",
            required=f"at most {_MOST_PART_BYTES}",
        )
    labels = {LABEL_DEPLOYMENT: deployment, LABEL_PART: part}
    try:
        api_of(sdk).create_config(_part_name(deployment, part, number), data, labels)
    except docker.errors.APIError as error:
        if error.status_code != _CONFLICT:
            raise
        if not may_exist:
            message = f"another command has just stored {part} {number} of {deployment}"
            raise failure("SWARM_BUSY", message) from error


def kept_parts(sdk: "docker.DockerClient", deployment: str, part: str) -> list[Spec]:
    """Return the stored values of one kind; those that cannot be read are left out."""
    labelled = {"label": f"{LABEL_DEPLOYMENT}={deployment}"}
    found = []
    for config in api_of(sdk).configs(filters=labelled):
        spec = config.get("Spec") or {}
        if (spec.get("Labels") or {}).get(LABEL_PART) == part:
            with suppress(UntrustedError, ValueError):
                found.append(parse_json_object(base64.b64decode(spec.get("Data") or "")))
    return found


def drop_parts(
    sdk: "docker.DockerClient", deployment: str, part: str, numbers: Iterable[int]
) -> None:
    """Remove stored values."""
    import docker.errors  # noqa: PLC0415

    names = {_part_name(deployment, part, number) for number in numbers}
    for config in api_of(sdk).configs(filters={"label": f"{LABEL_DEPLOYMENT}={deployment}"}):
        if config["Spec"]["Name"] in names:
            with suppress(docker.errors.APIError):
                api_of(sdk).remove_config(config["ID"])


def _part_name(deployment: str, part: str, number: int) -> str:
    return f"{deployment}-{part}-{number}"

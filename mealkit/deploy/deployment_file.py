"""The content of deploy.yaml: where and how a kit is to run, as frozen and strict models.

Every field has a default, so an empty file is valid. Names are checked by the rules of Kubernetes,
which are the strictest: what is valid here is valid for Swarm, compose and systemd too.
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from mealkit.deploy.cluster_strings import (
    Annotations,
    Cidr,
    DeploymentName,
    DnsLabel,
    DnsName,
    KeyOfSecret,
    LabelKey,
    Labels,
    LabelValue,
    MachineAddress,
    Origin,
    Port,
)
from mealkit.errors import CATALOGUE, MealkitError, Problem, failure, failures, problem
from mealkit.kit.document import read_document
from mealkit.kit.files import decoded
from mealkit.kit.problems import problems_of
from mealkit.kit.schema import DIALECT, model_schema
from mealkit.recipe.answers import StrictModel
from mealkit.recipe.operations import Operations
from mealkit.strings import EnvironmentName, Line, MaybeLine, Size

FILE_NAME = "deploy.yaml"
"""The name of the file."""
MAX_FILE_BYTES = 1024 * 1024
_MOST = 100
# Addresses of the container's own settings, which other fields of this file set.
_OWN = ("MEALKIT_AUTH", "MEALKIT_HOSTS", "MEALKIT_KEYS", "MEALKIT_KEYS_FILE", "MEALKIT_OPS")
_OWN_TOO = ("MEALKIT_ORIGINS", "MEALKIT_IMAGE_DIGEST", "MEALKIT_PORT", "MEALKIT_MODELS", "PORT")
_OWN_PATHS = ("MEALKIT_STATE", "MEALKIT_TERMINATION_LOG", "MEALKIT_AUDIT_KEY_FILE")
RESERVED_VARIABLES = frozenset((*_OWN, *_OWN_TOO, *_OWN_PATHS, "MEALKIT_RECORDS", "POD_NAMESPACE"))
"""Environment variables that the rendered files set themselves."""


def _is_ours(label: str) -> bool:
    # Others of app.kubernetes.io are replaced; these decide what is a candidate.
    return label.startswith("mealkit.dev/")


class Resources(StrictModel):
    """What the container gets; what is left out is the lock's estimate."""

    memory: Size | None = None
    """The memory, requested and at most; else what the lock estimates."""
    cpu: Annotated[float, Field(gt=0, le=1024)] = 1.0
    """How many CPUs are requested."""
    cpu_limit: Annotated[float, Field(gt=0, le=1024)] | None = None
    """How many CPUs the container gets at most; else as many as are free."""
    shm: Size | None = None
    """The size of /dev/shm; else what the lock states."""


class GpuChoice(StrictModel):
    """The GPUs of a kit that uses some."""

    resource: LabelKey = "nvidia.com/gpu"
    """The name of the GPUs in Kubernetes and Swarm, such as nvidia.com/mig-3g.40gb."""
    count: Annotated[int, Field(ge=0, le=64)] | None = None
    """How many; else what the lock states. 0: a kit whose GPU is optional runs without one."""
    products: Annotated[tuple[LabelValue, ...], Field(max_length=_MOST)] = ()
    """Accepted values of the node's label nvidia.com/gpu.product."""
    memory: Size | Literal["auto", "any"] = "auto"
    """The least memory of a GPU, by the node's label nvidia.com/gpu.memory; auto: what the kit is
    estimated to need; any: the label is not asked."""
    compute_capability: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2}\.[0-9]$")] | None = (
        None
    )
    """The least compute capability, in quotes: "8.0"."""
    runtime_class: DnsName | None = None
    """The RuntimeClass, where containers with GPUs need one."""


class Keys(StrictModel):
    """The API keys of callers, from a Secret that you make."""

    secret: DnsName | None = None
    """The Secret with the file of the keys' hashes; else NAME-keys."""
    file: KeyOfSecret = "keys.txt"
    """The file's name in the Secret."""


class SecretKey(StrictModel):
    """A value in a Secret."""

    secret: DnsName
    """The Secret's name."""
    key: KeyOfSecret
    """The name of the value in it."""


class Ingress(StrictModel):
    """How callers outside of the cluster reach the kit, by an Ingress."""

    host: DnsName
    """The host name of the kit."""
    class_name: DnsName | None = None
    """The IngressClass; else the cluster's default."""
    tls_secret: DnsName | None = None
    """The Secret with the host's certificate; without it, the Ingress uses HTTP."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations for the controller."""


class Route(StrictModel):
    """How callers outside of the cluster reach the kit, by an HTTPRoute of the Gateway API."""

    gateway: DnsName
    """The Gateway's name."""
    namespace: DnsLabel | None = None
    """The Gateway's namespace; else the kit's."""
    listener: DnsLabel | None = None
    """The Gateway's listener; else all."""
    host: DnsName
    """The host name of the kit."""


class WeightsIn(StrEnum):
    """Where the weights are."""

    IMAGE = "image"
    """In the container's own image."""
    IMAGE_VOLUME = "image-volume"
    """In another image, which is mounted: the container's own is the lean one."""
    PVC = "pvc"
    """In a volume, which a Job fills once from the image."""


class WeightsPlace(StrictModel):
    """Where the weights are."""

    place: Annotated[WeightsIn, Field(alias="in")] = WeightsIn.IMAGE
    """image, image-volume or pvc."""
    image: Line | None = None
    """For image-volume and pvc: the full image, whose weights are used, if `image` is lean."""
    size: Size | None = None
    """For pvc: the size of the volume; else that of the weights and a tenth."""
    storage_class: DnsName | None = None
    """For pvc: the StorageClass; else the cluster's default."""
    access: Literal["ReadWriteOnce", "ReadWriteMany"] = "ReadWriteMany"
    """For pvc: ReadWriteOnce suffices if all replicas are on one node."""


class State(StrictModel):
    """The folder for what a container writes: caches, the audit log, what was spent."""

    place: Annotated[Literal["disk", "memory", "pvc"], Field(alias="in")] = "disk"
    """disk: a folder that ends with the Pod; memory; pvc: a volume that stays, for one replica."""
    size: Size | None = None
    """The most that is written; else by what `ops` and the engine write."""
    storage_class: DnsName | None = None
    """For pvc: the StorageClass; else the cluster's default."""


class Peer(StrictModel):
    """Whom the kit may be called by, or may call."""

    namespace: DnsLabel | None = None
    """A namespace; else the kit's own."""
    pods: Labels = Field(default_factory=dict)
    """Labels of the Pods; else all."""
    cidr: Cidr | None = None
    """A range of addresses, instead of namespace and pods."""
    ports: Annotated[tuple[Port, ...], Field(max_length=_MOST)] = ()
    """For egress: the TCP ports; else all."""

    @model_validator(mode="after")
    def _names_one_kind(self) -> Self:
        if self.cidr is not None and (self.namespace is not None or self.pods):
            raise ValueError("write either cidr, or namespace and pods")
        return self


class Network(StrictModel):
    """Who may call the kit, and whom it may call. Everything else is closed."""

    policy: bool = True
    """Whether a NetworkPolicy is written."""
    allow_from: Annotated[tuple[Peer, ...], Field(max_length=_MOST)] = ()
    """Who may call the kit, such as the namespace of the ingress controller."""
    prometheus: DnsLabel | None = None
    """The namespace of Prometheus, which may read the metrics."""
    egress: Annotated[tuple[Peer, ...], Field(max_length=_MOST)] = ()
    """Whom the kit may call, such as the database of its budgets."""


class Monitoring(StrictModel):
    """How Prometheus finds the kit."""

    service_monitor: bool = False
    """Whether a ServiceMonitor is written, for the Prometheus Operator."""
    labels: Labels = Field(default_factory=dict)
    """Labels of the ServiceMonitor, by which Prometheus selects it."""
    interval_seconds: Annotated[int, Field(ge=1, le=3600)] = 15
    """The seconds between two readings."""


class Rollout(StrictModel):
    """How a new revision replaces an old one."""

    gate: Literal["none", "candidate"] = "none"
    """candidate: one Pod of the new revision is tested by a Job before the others are replaced."""
    claims: Annotated[tuple[Line, ...], Field(max_length=_MOST)] = ()
    """The claims that the Job tests; without any, the kit's cases."""
    key: SecretKey | None = None
    """The Secret with an API key for the test, in clear; else NAME-test-key with the key `key`."""
    test_seconds: Annotated[int, Field(ge=10, le=86400)] = 1800
    """How many seconds the test may take."""
    max_surge: Annotated[int, Field(ge=0, le=_MOST)] = 1
    """How many Pods may run besides the wanted number while they are replaced; 0: an old Pod ends
    first, where there is no room (or no GPU) for both, and a single replica is away until then."""
    settle_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """How many seconds a Pod must stay ready before it counts."""
    history: Annotated[int, Field(ge=1, le=_MOST)] = 10
    """How many old revisions are kept for the way back."""


class Toleration(StrictModel):
    """A taint of nodes that the kit tolerates."""

    key: LabelKey | None = None
    """The taint's key; all, if left out."""
    operator: Literal["Exists", "Equal"] = "Exists"
    """Exists or Equal."""
    value: LabelValue | None = None
    """The taint's value, for Equal."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect; all, if left out."""

    @model_validator(mode="after")
    def _is_accepted(self) -> Self:
        if self.operator == "Equal" and self.key is None:
            raise ValueError("Equal needs the taint's key")
        if self.operator == "Exists" and self.value:
            raise ValueError("a value is for operator: Equal")
        return self


class Publish(StrictModel):
    """The address on the machine, for compose, Swarm and systemd."""

    address: MachineAddress = "127.0.0.1"
    """The machine's address on which callers reach the kit."""
    port: Port | None = None
    """The machine's port; else the kit's own."""
    mode: Literal["ingress", "host"] = "ingress"
    """For Swarm, with the address 0.0.0.0: ingress, every node answers at the port; host, only the
    nodes that run a replica."""


class DeploymentFile(StrictModel):
    """A deployment of a kit."""

    name: DeploymentName | None = None
    """The deployment's name, which is also the Service's; else the kit's name."""
    image: Line | None = None
    """The image in a registry, best by its digest; a tag is resolved to the digest that it has
    now."""
    namespace: DnsLabel | None = None
    """The namespace; else the one that kubectl uses."""
    replicas: Annotated[int, Field(ge=0, le=10000)] = 1
    """How many containers answer. For Kubernetes: left out, an autoscaler may decide."""
    resources: Resources = Resources()
    """Memory, CPU, shared memory."""
    gpu: GpuChoice = GpuChoice()
    """Which GPUs, for a kit that uses some."""
    auth: Literal["keys", "off"] = "keys"
    """Whether callers need an API key; off only if other programs cannot reach the kit, or a
    proxy in front asks for one."""
    keys: Keys = Keys()
    """The Secret with the API keys."""
    hosts: Annotated[tuple[DnsName, ...], Field(max_length=_MOST)] = ()
    """Without keys: further names by which callers ask, besides the Service's and the host's."""
    origins: Annotated[tuple[Origin, ...], Field(max_length=_MOST)] = ()
    """Origins of web pages that may call the kit."""
    environment: Annotated[dict[EnvironmentName, MaybeLine], Field(max_length=_MOST)] = Field(
        default_factory=dict
    )
    """Further environment variables, such as OTEL_EXPORTER_OTLP_ENDPOINT; no secrets."""
    secrets: Annotated[dict[EnvironmentName, SecretKey], Field(max_length=_MOST)] = Field(
        default_factory=dict
    )
    """Environment variables whose values are in Secrets. Swarm, compose and podman have secrets
    only as files, and so only MEALKIT_USAGE_DATABASE."""
    ingress: Ingress | None = None
    """An Ingress for callers outside of the cluster."""
    route: Route | None = None
    """An HTTPRoute for callers outside of the cluster."""
    weights: WeightsPlace = WeightsPlace()
    """Where the weights are."""
    state: State = State()
    """Where the container writes."""
    network: Network = Network()
    """Who may call the kit, and whom it may call."""
    monitoring: Monitoring = Monitoring()
    """How Prometheus finds the kit."""
    rollout: Rollout = Rollout()
    """How a new revision replaces an old one."""
    ops: Operations | None = None
    """Prices, budgets, audit log and telemetry, section by section instead of the kit's."""
    audit_key: SecretKey | None = None
    """The Secret with the keys of the audit log; else each container makes one, which is lost with
    its state."""
    restart: Literal["no", "on-failure", "always", "unless-stopped"] = "on-failure"
    """When compose and systemd start an ended container again."""
    publish: Publish = Publish()
    """The address on the machine, for compose, Swarm and systemd."""
    user: Annotated[int, Field(ge=1, le=2**31 - 1)] | Literal["platform"] = 65532
    """The user of the container; platform: the one that the cluster chooses (OpenShift)."""
    service_account: DnsName | None = None
    """The ServiceAccount; it gets no token in any case."""
    node_selector: Labels = Field(default_factory=dict)
    """Labels of the nodes that may run the kit."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=_MOST)] = ()
    """Taints of nodes that the kit tolerates."""
    priority_class: DnsName | None = None
    """The PriorityClass."""
    image_pull_secrets: Annotated[tuple[DnsName, ...], Field(max_length=_MOST)] = ()
    """Secrets with the registry's credentials."""
    labels: Labels = Field(default_factory=dict)
    """Labels of all objects."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations of all objects."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        own = sorted(RESERVED_VARIABLES & {*self.environment, *self.secrets})
        if own:
            raise ValueError(f"{own[0]} is set by other fields: leave it out of the environment")
        twice = sorted({*self.environment} & {*self.secrets})
        if twice:
            raise ValueError(f"{twice[0]} is in environment and in secrets: write it once")
        ours = [name for name in {**self.labels, **self.monitoring.labels} if _is_ours(name)]
        if ours:
            raise ValueError(f"{ours[0]} is a label that mealkit writes: choose another name")
        if self.ingress is not None and self.route is not None:
            raise ValueError("write either ingress or route")
        if self.state.place == "pvc" and self.replicas > 1:
            raise ValueError("state in a pvc is for one replica: two cannot write the same files")
        return self


def read_deployment_file(raw: bytes, where: str) -> DeploymentFile:
    """Read deploy.yaml; an empty file, or one with comments only, has all defaults.

    Raises:
        DeploymentError: ``DEPLOY_FILE_INVALID``, with all problems and their lines.
    """
    text, fault = decoded(raw)
    if fault:
        raise failure("DEPLOY_FILE_INVALID", f"{where} {fault[0]}", where=where, hint=fault[1])
    if all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines()):
        return DeploymentFile()
    document, found = read_document(text, where, "the deployment")
    if found:
        raise _invalid(found)
    try:
        return DeploymentFile.model_validate_json(json.dumps(document.data))
    except ValidationError as error:
        found = problems_of(error, DeploymentFile, document.data, document)
        raise _invalid(found) from error


def deployment_schema() -> dict[str, Any]:
    """Return the JSON Schema of deploy.yaml."""
    return {"$schema": DIALECT, "title": FILE_NAME, **model_schema(DeploymentFile, "")}


def _invalid(problems: list[Problem]) -> MealkitError:
    return failures([_of_deployment(item) for item in problems])


def _of_deployment(item: Problem) -> Problem:
    """Return a problem of a kit's document as one of a deployment's."""
    hint = None if item.hint == CATALOGUE[item.code].fix else item.hint
    return problem("DEPLOY_FILE_INVALID", item.message, hint=hint, where=item.where)

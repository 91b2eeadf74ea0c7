"""The parts of a cluster's objects that mealkit reads, as typed values with limits.

A cluster's answers are from outside: a value of another type or size is a problem, not a crash.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic import model_validator as validator

from mealkit.errors import failure

Short = Annotated[str, StringConstraints(max_length=1024)]
# An object has at most 256 KiB of annotations.
Text = Annotated[str, StringConstraints(max_length=256 * 1024)]
Count = Annotated[int, Field(ge=0, le=2**31)]
Revision = Annotated[int, Field(ge=0, le=2**63)]
Texts = Annotated[dict[Short, Text], Field(max_length=4096)]

REVISION = "deployment.kubernetes.io/revision"
CHANGE_CAUSE = "kubernetes.io/change-cause"


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @validator(mode="before")
    @classmethod
    def _without_null(cls, value: Any) -> Any:
        """Drop members that are null: Go writes an empty list or map in this way."""
        if isinstance(value, Mapping):
            return {name: item for name, item in value.items() if item is not None}
        return value


_ViewT = TypeVar("_ViewT", bound=_View)


class Owner(_View):
    """The object that created another one."""

    kind: Short = ""
    uid: Short = ""


class Metadata(_View):
    """What every object has."""

    name: Short = ""
    namespace: Short = ""
    uid: Short = ""
    labels: Texts = {}
    annotations: Texts = {}
    generation: Revision = 0
    created: Annotated[Short, Field(alias="creationTimestamp")] = ""
    deleted: Annotated[Short, Field(alias="deletionTimestamp")] = ""
    owners: Annotated[tuple[Owner, ...], Field(alias="ownerReferences", max_length=64)] = ()


class Condition(_View):
    """A condition of a deployment, a pod, a job or a node."""

    type: Short = ""
    status: Short = ""
    reason: Short = ""
    message: Text = ""


class Terminated(_View):
    """How a container ended."""

    exit_code: Annotated[int, Field(alias="exitCode")] = 0
    signal: int = 0
    reason: Short = ""
    message: Text = ""


class Waiting(_View):
    """Why a container does not run."""

    reason: Short = ""
    message: Text = ""


class ContainerState(_View):
    """A container's state; at most one is set."""

    waiting: Waiting | None = None
    running: dict[Short, Any] | None = None
    terminated: Terminated | None = None


class ContainerStatus(_View):
    """A container of a pod."""

    name: Short = ""
    image: Short = ""
    image_id: Annotated[Short, Field(alias="imageID")] = ""
    ready: bool = False
    started: bool = False
    restarts: Annotated[Count, Field(alias="restartCount")] = 0
    state: ContainerState = ContainerState()
    last: Annotated[ContainerState, Field(alias="lastState")] = ContainerState()

    @property
    def ended(self) -> Terminated | None:
        """The container's last end, if it has ended."""
        return self.state.terminated or self.last.terminated


class PodStatus(_View):
    """A pod's status."""

    phase: Short = ""
    reason: Short = ""
    message: Text = ""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=256)] = ()
    containers: Annotated[
        tuple[ContainerStatus, ...], Field(alias="containerStatuses", max_length=256)
    ] = ()
    init_containers: Annotated[
        tuple[ContainerStatus, ...], Field(alias="initContainerStatuses", max_length=256)
    ] = ()


class Resources(_View):
    """A container's requests and limits: quantities, as text."""

    requests: dict[Short, Short | int | float] = {}
    limits: dict[Short, Short | int | float] = {}


class Container(_View):
    """A container as its pod specifies it."""

    name: Short = ""
    image: Short = ""
    restart: Annotated[Short, Field(alias="restartPolicy")] = ""
    resources: Resources = Resources()


class PodSpec(_View):
    """What a pod specifies."""

    node: Annotated[Short, Field(alias="nodeName")] = ""
    containers: Annotated[tuple[Container, ...], Field(max_length=256)] = ()
    init_containers: Annotated[
        tuple[Container, ...], Field(alias="initContainers", max_length=256)
    ] = ()
    overhead: dict[Short, Short | int | float] = {}


class Pod(_View):
    """A pod."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_ready(self) -> bool:
        """Whether it receives requests."""
        ready = (item for item in self.status.conditions if item.type == "Ready")
        return not self.metadata.deleted and any(item.status == "True" for item in ready)

    @property
    def every_container(self) -> tuple[ContainerStatus, ...]:
        """The containers of the start and those of the kit."""
        return self.status.init_containers + self.status.containers


class Template(_View):
    """The pods that a deployment or a replica set makes."""

    metadata: Metadata = Metadata()
    spec: PodSpec = PodSpec()


class Selector(_View):
    """The labels by which a deployment finds its pods."""

    labels: Annotated[Texts, Field(alias="matchLabels")] = {}

    @property
    def text(self) -> str:
        """As a query's labelSelector."""
        return ",".join(f"{name}={value}" for name, value in sorted(self.labels.items()))


class RollingUpdate(_View):
    """How many pods are replaced at a time."""

    surge: Annotated[Count | Short, Field(alias="maxSurge")] = 1


class Strategy(_View):
    """How pods are replaced."""

    rolling: Annotated[RollingUpdate, Field(alias="rollingUpdate")] = RollingUpdate()

    @property
    def surge(self) -> int:
        """How many new pods may run besides the wanted number; 1 for a share, such as 25%."""
        return self.rolling.surge if isinstance(self.rolling.surge, int) else 1


class DeploymentSpec(_View):
    """What a deployment specifies."""

    strategy: Strategy = Strategy()

    replicas: Count = 1
    selector: Selector = Selector()
    deadline: Annotated[Count, Field(alias="progressDeadlineSeconds")] = 600
    template: Template = Template()


class DeploymentStatus(_View):
    """How far a deployment's controller is."""

    observed: Annotated[Revision, Field(alias="observedGeneration")] = 0
    replicas: Count = 0
    updated: Annotated[Count, Field(alias="updatedReplicas")] = 0
    ready: Annotated[Count, Field(alias="readyReplicas")] = 0
    available: Annotated[Count, Field(alias="availableReplicas")] = 0
    conditions: Annotated[tuple[Condition, ...], Field(max_length=256)] = ()


class DeploymentView(_View):
    """A Deployment of a cluster."""

    metadata: Metadata = Metadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()

    @property
    def revision(self) -> int:
        """Its revision; 0 before its controller has seen it."""
        return revision_of(self.metadata)


class ReplicaSet(_View):
    """A ReplicaSet: one revision of a deployment."""

    metadata: Metadata = Metadata()
    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()

    @property
    def revision(self) -> int:
        """The last revision of its deployment that used it."""
        return revision_of(self.metadata)


class Concerned(_View):
    """The object that an event is about."""

    kind: Short = ""
    name: Short = ""
    uid: Short = ""


class Event(_View):
    """An event in the namespace."""

    metadata: Metadata = Metadata()
    about: Annotated[Concerned, Field(alias="involvedObject")] = Concerned()
    type: Short = ""
    reason: Short = ""
    message: Text = ""
    count: Count = 1
    last: Annotated[Short, Field(alias="lastTimestamp")] = ""
    time: Annotated[Short, Field(alias="eventTime")] = ""

    @property
    def seen(self) -> str:
        """When it was seen last; events of newer reporters, such as the scheduler, have no last."""
        return self.last or self.time or self.metadata.created


class JobSpec(_View):
    """What a Job specifies."""

    deadline: Annotated[Count | None, Field(alias="activeDeadlineSeconds")] = None


class Job(_View):
    """A Job's status."""

    metadata: Metadata = Metadata()
    spec: JobSpec = JobSpec()
    status: PodStatus = PodStatus()

    @property
    def ended(self) -> frozenset[str]:
        """Complete or Failed after it has ended; empty before."""
        true = {item.type for item in self.status.conditions if item.status == "True"}
        return frozenset(true & {"Complete", "Failed"})


class Taint(_View):
    """What keeps pods away from a node."""

    key: Short = ""
    value: Short = ""
    effect: Short = ""


class NodeSpec(_View):
    """What a node's operator specifies."""

    unschedulable: bool = False
    taints: Annotated[tuple[Taint, ...], Field(max_length=256)] = ()


class NodeInfo(_View):
    """The programs of a node."""

    architecture: Short = ""
    kernel: Annotated[Short, Field(alias="kernelVersion")] = ""
    kubelet: Annotated[Short, Field(alias="kubeletVersion")] = ""
    runtime: Annotated[Short, Field(alias="containerRuntimeVersion")] = ""
    system: Annotated[Short, Field(alias="operatingSystem")] = ""


class NodeStatus(_View):
    """A node's status."""

    allocatable: dict[Short, Short | int | float] = {}
    capacity: dict[Short, Short | int | float] = {}
    conditions: Annotated[tuple[Condition, ...], Field(max_length=256)] = ()
    info: Annotated[NodeInfo, Field(alias="nodeInfo")] = NodeInfo()


class Node(_View):
    """A node."""

    metadata: Metadata = Metadata()
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


def read_view(kind: type[_ViewT], item: Mapping[str, Any]) -> _ViewT:
    """Return an object of a cluster as a typed value.

    Raises:
        DeploymentError: it is not one (``CLUSTER_ANSWER``).
    """
    try:
        return kind.model_validate(item)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part)[:100] for part in first["loc"])[:300]
        message = f"the cluster's {kind.__name__} cannot be used: {field}: {first['msg'].lower()}"
        raise failure("CLUSTER_ANSWER", message) from error


def read_views(kind: type[_ViewT], items: Iterable[Mapping[str, Any]]) -> Sequence[_ViewT]:
    """Return several objects of a cluster as typed values; see `read_view`."""
    return [read_view(kind, item) for item in items]


def member(item: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return a part of an object that is itself an object.

    Raises:
        DeploymentError: it is missing, or not one (``CLUSTER_ANSWER``).
    """
    found: Any = item
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not isinstance(found, dict):
        raise failure("CLUSTER_ANSWER", f"an object of the cluster has no {'.'.join(names)}")
    return found


def revision_of(metadata: Metadata) -> int:
    """Return the revision in the annotation of a deployment's controller; 0 if there is none."""
    text = metadata.annotations.get(REVISION, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0

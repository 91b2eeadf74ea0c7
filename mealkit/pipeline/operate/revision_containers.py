"""The containers of a deployment's revisions: starts, finds, drains, stops and removes them."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.containers.container import Container
from mealkit.deploy.deployment import (
    LABEL_DEPLOYMENT,
    LABEL_ID,
    LABEL_REVISION,
    Deployment,
    Revision,
    container_name,
)
from mealkit.deploy.upgrade import Seen
from mealkit.errors import MealkitError, failure, failures
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.clients import ContainerClient
from mealkit.pipeline.operate.traffic_front import Front
from mealkit.pipeline.run.container_spec import Runnable, spec_of
from mealkit.pipeline.run.readiness import Trust, explained, wait_until_ready
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import Opened, runnable
from mealkit.pipeline.targets import StoredDigest
from mealkit.progress import Progress
from mealkit.runtime.gateway.keys import KeyHash

_POLL_SECONDS = 0.1
# Written to the container, so that it can be drained without reading its image again.
_LABEL_PORT = "dev.mealkit.port"
_LABEL_TIMEOUT = "dev.mealkit.timeout-seconds"


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the revisions of a deployment run; ``id`` is the deployment's."""

    id: str
    home: Home
    client: ContainerClient
    front: Front
    progress: Progress


@dataclass(frozen=True, slots=True)
class Started:
    """The container of a revision, with what is known about it."""

    container: Container
    shown: Runnable
    memory_bytes: int | None


def containers_of(name: str, ground: Ground) -> dict[int, Container]:
    """Return the containers of a deployment by the numbers of their revisions."""
    return {
        int(item.labels[LABEL_REVISION]): item
        for item in ground.client.list()
        if _is_own(item, name, ground) and item.labels.get(LABEL_REVISION, "").isdecimal()
    }


def require_own_name(name: str, ground: Ground) -> None:
    """Check that no deployment of another home has the name in the same container client.

    Raises:
        ContainerError: ``CONTAINER_EXISTS``.
    """
    for item in ground.client.list():
        if item.labels.get(LABEL_DEPLOYMENT) == name and not _is_own(item, name, ground):
            message = f"{item.name} is of a deployment {name} that another home has"
            hint = "choose another name, or use that home: mealkit --home FOLDER status"
            raise failure("CONTAINER_EXISTS", message, hint=hint)


def _is_own(item: Container, name: str, ground: Ground) -> bool:
    labels = item.labels
    return (labels.get(LABEL_DEPLOYMENT), labels.get(LABEL_ID)) == (name, ground.id)


def seen(name: str, ground: Ground) -> Seen:
    """Return which revisions run."""
    found = containers_of(name, ground)
    return Seen(frozenset(number for number, item in found.items() if item.exit is None))


def runnable_of(revision: Revision, ground: Ground) -> Runnable:
    """Return the image of a revision from the local store, if the policies still accept it.

    Raises:
        StoreError: the image, or a file of its weights, is no longer there.
        TrustError: a policy of this machine refuses it.
    """
    stored = StoredDigest(str(revision.image))
    request = request_of(revision, ground.client.name)
    found = runnable(Opened(stored, stored), request, ground.home, ground.progress)
    return replace(found, built_here=revision.built_here)


def request_of(revision: Revision, client: str) -> RunRequest:
    """Return the options with which a revision's container is started."""
    settings = revision.settings
    return RunRequest(
        target=str(revision.image),
        client=client,
        port=0,
        keys=Path(settings.keys) if settings.keys else None,
        origins=settings.origins,
        embedded=settings.embedded,
        architecture=settings.architecture,
        overrides=settings.overrides,
        ops=settings.ops,
    )


def start(
    deployment: Deployment, revision: Revision, ground: Ground, test_key: KeyHash | None = None
) -> Started:
    """Start the container of a revision, in place of one that has its name.

    ``test_key`` is one more key that the revision accepts.

    Raises:
        MealkitError: it does not start.
    """
    name = container_name(deployment.name, revision.number)
    remove(deployment.name, revision.number, ground)
    shown = runnable_of(revision, ground)
    request = request_of(revision, ground.client.name)
    # All revisions record in one place: a budget does not begin anew with an upgrade.
    request = replace(request, name=name, records=deployment.name)
    spec = spec_of(request, shown, ground.client, ground.home, ground.progress)
    more = {"MEALKIT_KEYS": test_key.line} if test_key else {}
    serving = shown.lock.serving
    labels = {
        LABEL_DEPLOYMENT: deployment.name,
        LABEL_ID: deployment.id,
        LABEL_REVISION: str(revision.number),
        _LABEL_PORT: str(serving.port),
        _LABEL_TIMEOUT: str(serving.timeout_seconds),
    }
    spec = replace(
        spec,
        environment={**spec.environment, **more},
        labels={**spec.labels, **labels},
        network=ground.front.network,
    )
    ground.progress.phase(f"starting revision {revision.number} with {ground.client.name}")
    try:
        container = ground.client.start(spec)
    except MealkitError as error:
        raise explained(error) from error
    return Started(container, shown, spec.memory_bytes)


def await_ready(started: Started, seconds: float, ground: Ground) -> None:
    """Wait until a revision has answered one real request.

    Raises:
        MealkitError: it did not become ready; see `wait_until_ready`.
    """
    shown = started.shown
    trust = Trust.of(shown.lock, built_here=shown.built_here, memory_bytes=started.memory_bytes)
    try:
        wait_until_ready(ground.client, started.container, seconds, ground.progress, trust)
    except MealkitError as error:
        # Its container is removed, so a hint that names it helps no longer.
        hint = "give it more time with --timeout, or find in the phases what takes so long"
        raise failures(
            [
                replace(item, hint=hint) if item.code == "CONTAINER_TIMEOUT" else item
                for item in error.problems
            ]
        ) from error


def target_of(container: Container) -> str:
    """Return a revision's address for the front."""
    return f"{container.name}:{container.labels.get(_LABEL_PORT, '8000')}"


def stop(name: str, number: int, ground: Ground) -> None:
    """Stop a revision after its open requests have ended; its container and its log stay.

    The front knows the open requests. After that the container has its own drain time, for requests
    that did not come through the front.
    """
    container = containers_of(name, ground).get(number)
    if container is None or container.exit is not None:
        return
    seconds = int(container.labels.get("dev.mealkit.stop-seconds", "30"))
    answer_seconds = int(container.labels.get(_LABEL_TIMEOUT, "60"))
    _drain(target_of(container), answer_seconds + seconds, ground)
    ground.client.stop(container.name, seconds)


def remove(name: str, number: int, ground: Ground) -> None:
    """Remove the container of a revision, if there is one.

    Raises:
        ContainerError: ``CONTAINER_EXISTS``, a container that is not the deployment's has its name.
    """
    wanted = container_name(name, number)
    for item in ground.client.list():
        if item.name == wanted:
            if not _is_own(item, name, ground):
                message = f"{wanted} is a container that was started otherwise"
                raise failure("CONTAINER_EXISTS", message, hint=f"mealkit stop {wanted}")
            ground.client.remove(wanted)


def _drain(target: str, seconds: float, ground: Ground) -> None:
    """Wait until no request is open at a target; at most as long as an answer may take."""
    deadline = time.monotonic() + seconds
    told = 0
    while (left := _sessions(target, ground)) and time.monotonic() < deadline:
        if left != told:
            ground.progress.phase(f"{target.partition(':')[0]} still answers {left} requests")
            told = left
        time.sleep(_POLL_SECONDS)


def _sessions(target: str, ground: Ground) -> int:
    try:
        return ground.front.sessions(target)
    except MealkitError:  # the front does not run, so no request is open there
        return 0

"""One change of a deployment's service: made, watched, and undone if a gate refuses it.

Swarm itself replaces the containers and returns to the revision before. mealkit only does so if
Swarm does not: for a first revision, and for one that is not ready in time.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mealkit.clusters.swarm_services import (
    Service,
    create_service,
    find_ours,
    remove_service,
    remove_unused_secrets,
    update_service,
)
from mealkit.deploy.swarm_service import Revision
from mealkit.errors import Problem, failures, problem
from mealkit.pipeline.cluster.swarm_gate import GateFailure
from mealkit.pipeline.cluster.swarm_history import StoredOutcome, number_of, store_outcome
from mealkit.pipeline.cluster.swarm_watch import End, Watched, watch
from mealkit.pipeline.run.readiness import Trust
from mealkit.progress import Progress

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True, slots=True)
class Change:
    """A revision on its way."""

    sdk: "docker.DockerClient"
    seconds: int
    """How long each container may take."""
    revision: Revision
    spec: dict[str, Any]
    trust: Trust
    progress: Progress
    needed_bytes: int | None = None
    """The memory that the kit's lock states; None: unknown."""

    @property
    def name(self) -> str:
        """The deployment's name."""
        return str(self.spec["Name"])

    def make(self, service: Service | None) -> None:
        """Create or replace the service, and wait for the end.

        Raises:
            DeploymentError: ``ROLLOUT_FAILED`` and its cause.
        """
        replicas = self.spec["Mode"]["Replicated"]["Replicas"]
        if service is None:
            create_service(self.sdk, self.spec)
        else:
            update_service(self.sdk, service, self.spec)
        watched = Watched(
            self.name,
            self.revision.number,
            replicas,
            service is None,
            self.trust,
            self.seconds * max(1, replicas),
            self.needed_bytes,
        )
        outcome = watch(self.sdk, watched, self.progress)
        if outcome.end is End.DONE:
            passed = StoredOutcome(self.revision.number, passed=True)
            store_outcome(self.sdk, self.name, passed)
            return
        cause = outcome.cause or problem("CONTAINER_FAILED", "Swarm states no reason")
        if outcome.end is not End.ROLLED_BACK:
            self._undo(service)
        raise self.refused(GateFailure("ready", cause), service)

    def _undo(self, service: Service | None) -> None:
        """Return to the service as it was; a first revision is removed."""
        now = find_ours(self.sdk, self.name)
        if service is None:
            remove_service(self.sdk, self.name)
        elif now is not None and number_of(now) == self.revision.number:
            self.progress.phase(f"back to revision {number_of(service)}")
            update_service(self.sdk, now, service.spec)
            earlier = service.spec["Mode"]["Replicated"]["Replicas"]
            number = number_of(service)
            again = Watched(
                self.name, number, earlier, is_first=False, trust=self.trust, seconds=self.seconds
            )
            watch(self.sdk, again, self.progress)

    def refused(self, found: GateFailure, service: Service | None) -> Exception:
        """Store that a gate refused the revision, and return the error that says so."""
        number = self.revision.number
        outcome = StoredOutcome.of_failure(number, found.gate, found.cause)
        store_outcome(self.sdk, self.name, outcome)
        remove_unused_secrets(self.sdk, self.name)
        return failures([_refusal(self.name, number, found, service), found.cause])


def _refusal(name: str, number: int, found: GateFailure, service: Service | None) -> Problem:
    cause = found.cause
    before = (
        f"revision {number_of(service)} answers callers"
        if service is not None
        else "it was removed, because there is no revision before it"
    )
    said = problem(
        "ROLLOUT_FAILED",
        f"revision {number} of {name} did not pass the gate {found.gate} ({cause.code}); {before}",
        measured=cause.measured,
        required=cause.required,
        hint=cause.hint,
    )
    return replace(said, owner=cause.owner)

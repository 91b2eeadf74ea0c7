"""The revisions of a deployment in a Swarm: who wanted which image when and why, and how it ended.

A revision is stored before it is applied, and its outcome after that: two configs of the swarm. So
a command that was killed leaves a revision without an outcome, which the service's labels then tell
from one that answers.
"""

import getpass
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import TypeAdapter, ValidationError

from mealkit.clusters.swarm_services import Service, drop_parts, keep_part, kept_parts
from mealkit.deploy.swarm_service import Revision
from mealkit.errors import Problem, failure
from mealkit.names import one_line

if TYPE_CHECKING:
    import docker

_REASON_CHARACTERS = 1000
_PARTS = frozenset({"revision", "outcome"})


@dataclass(frozen=True, slots=True)
class Wish:
    """Who wants a change, when and why."""

    who: str
    why: str
    when: datetime

    @classmethod
    def here(cls, why: str) -> Self:
        """Return the wish of the user who runs this command; of root by sudo, the user's own."""
        try:
            who = os.environ.get("SUDO_USER") or getpass.getuser()
        except (KeyError, OSError):  # a user in a container often has no name
            who = str(os.getuid())
        return cls(one_line(who)[:100], one_line(why)[:_REASON_CHARACTERS], datetime.now(UTC))


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """How a revision ended that was applied."""

    number: int
    passed: bool
    gate: str = ""
    """The gate that it did not pass."""
    code: str = ""
    owner: str = ""
    message: str = ""

    @property
    def failure(self) -> str:
        """The gate that it did not pass and why, in one line."""
        return f"{self.gate}: {self.code} (owner {self.owner}): {self.message}"

    @classmethod
    def of_failure(cls, number: int, gate: str, cause: Problem) -> Self:
        """Return the outcome of a revision that did not pass a gate."""
        message = cause.message.splitlines()[0][:1000]
        return cls(
            number,
            passed=False,
            gate=gate,
            code=cause.code,
            owner=cause.owner.value,
            message=message,
        )


@dataclass(frozen=True, slots=True)
class StoredRevision:
    """A revision, with the whole spec of its service."""

    revision: Revision
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Past:
    """One line of the history."""

    revision: Revision
    spec: dict[str, Any]
    outcome: StoredOutcome | None
    state: Literal["serving", "kept", "failed", "interrupted"]


_REVISION, _OUTCOME = TypeAdapter(StoredRevision), TypeAdapter(StoredOutcome)


def history(sdk: "docker.DockerClient", name: str, service: Service | None) -> list[Past]:
    """Return the stored revisions of a deployment, the newest first."""
    outcomes: dict[int, StoredOutcome] = {}
    for form in kept_parts(sdk, name, "outcome"):
        with suppress(ValidationError):
            found = _OUTCOME.validate_python(form)
            outcomes[found.number] = found
    revisions = []
    for form in kept_parts(sdk, name, "revision"):
        with suppress(ValidationError):
            revisions.append(_REVISION.validate_python(form))
    serving = number_of(service)
    past = [
        Past(item.revision, item.spec, outcome, _state(item.revision.number, serving, outcome))
        for item in revisions
        for outcome in (outcomes.get(item.revision.number),)
    ]
    return sorted(past, key=lambda item: item.revision.number, reverse=True)


def number_of(service: Service | None) -> int:
    """Return the number of the revision that a service has now; 0 without a service."""
    text = service.labels.get("dev.mealkit.revision", "0") if service else "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def store_revision(
    sdk: "docker.DockerClient", name: str, revision: Revision, spec: Mapping[str, Any]
) -> None:
    """Store a revision before it is applied.

    Raises:
        DeploymentError: ``SWARM_BUSY``, another command stored a revision with this number first.
    """
    form = {"revision": asdict(revision), "spec": dict(spec)}
    keep_part(sdk, name, "revision", revision.number, form)


def store_outcome(sdk: "docker.DockerClient", name: str, outcome: StoredOutcome) -> None:
    """Store how a revision ended; one that is stored already stays."""
    keep_part(sdk, name, "outcome", outcome.number, asdict(outcome), may_exist=True)


def forget(sdk: "docker.DockerClient", name: str, past: list[Past], most: int) -> None:
    """Remove the oldest revisions, so that at most ``most`` besides the serving one are left."""
    others = [item.revision.number for item in past if item.state != "serving"]
    for part in _PARTS:
        drop_parts(sdk, name, part, others[most:])


def past_revision(past: list[Past], name: str, number: int | None) -> Past:
    """Return the revision to go back to: a number, or the last one that served before.

    Raises:
        DeploymentError: ``CLUSTER_NOT_DEPLOYED``, there is none.
    """
    for item in past:
        if item.revision.number == number or (number is None and item.state == "kept"):
            return item
    known = ", ".join(str(item.revision.number) for item in past) or "none"
    wanted = "no revision to go back to" if number is None else f"no revision {number}"
    raise failure(
        "CLUSTER_NOT_DEPLOYED",
        f"{name} has {wanted}; stored are: {known}",
        hint=f"mealkit deploy status {name} --target swarm",
    )


def _state(
    number: int, serving: int, outcome: StoredOutcome | None
) -> Literal["serving", "kept", "failed", "interrupted"]:
    if number == serving:
        return "serving"
    if outcome is None:
        return "interrupted"
    return "kept" if outcome.passed else "failed"

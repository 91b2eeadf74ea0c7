"""A deployment and its revisions as values, and the file that keeps them between commands.

A deployment is an address that stays, and the revisions that have answered there. The file is read
by a bounded parser: another program may have written it.
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    field_serializer,
    model_validator,
)

from mealkit.addresses import caller_address
from mealkit.errors import Owner, failure
from mealkit.recipe.operations import Operations
from mealkit.strings import Line, MaybeLine, Text
from mealkit.untrusted import UntrustedError, parse_json_object

MAX_DEPLOYMENT_BYTES = 4 * 1024 * 1024
"""The largest file of a deployment that is read."""
MAX_REVISIONS = 1000
"""The most revisions in the file; the oldest are forgotten first. The history keeps them."""
MAX_KEPT = 3
"""How many revisions are kept for the way back."""

LABEL_DEPLOYMENT = "dev.mealkit.deployment"
LABEL_ID = "dev.mealkit.deployment-id"
LABEL_REVISION = "dev.mealkit.revision"

_MAX_GATES = 10
_MAX_CLAIMS = 1000

DeploymentName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$")]
"""It is part of the names of containers, networks and folders."""
Number = Annotated[int, Field(ge=1, le=10**9)]
Digested = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
Moment = Annotated[FiniteFloat, Field(ge=0, le=253402300799)]
"""Seconds since 1970."""


class DeploymentValue(BaseModel):
    """The base of all parts of a deployment: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class State(StrEnum):
    """The state of a revision."""

    STARTING = "starting"
    """Its container starts, or its image is being built or pulled."""
    READY = "ready"
    """It answers, and has no traffic yet."""
    SERVING = "serving"
    """It has the traffic."""
    KEPT = "kept"
    """It is stopped, and can be started again."""
    FAILED = "failed"
    """A gate stopped it; its container is removed."""
    REMOVED = "removed"
    """Its container is removed, and its image is no longer protected."""


class Gate(StrEnum):
    """What a new revision has to pass before, and after, it gets the traffic."""

    PREFLIGHT = "preflight"
    """The machine fits, and the image is there and accepted."""
    START = "start"
    """Its container starts."""
    READINESS = "readiness"
    """It answers one real request within the time."""
    CLAIMS = "claims"
    """Its cases and the chosen claims hold."""
    TRAFFIC = "traffic"
    """The front sends new requests to it."""
    WATCH = "watch"
    """Its errors and its latency do not exceed those of the revision before."""
    INTERRUPTION = "interruption"
    """The command lives until the new revision has passed the other gates."""


class GateResult(DeploymentValue):
    """What one gate said about a revision."""

    gate: Gate
    passed: bool
    reason: Text
    code: Annotated[str, Field(pattern=r"^[A-Z0-9_]{1,64}$")] | None = None
    """The code of the problem that stopped the revision."""
    measured: MaybeLine | None = None
    required: MaybeLine | None = None
    owner: Owner | None = None
    """Who can solve it."""


class TestedClaim(DeploymentValue):
    """The result of one claim or case that was asked before the traffic moved."""

    __test__ = False  # for pytest, which takes classes of this name for tests

    name: Line
    is_case: bool
    verdict: Literal["holds", "fails", "not judged"]
    measured: FiniteFloat | None = None


class Settings(DeploymentValue):
    """How a revision's container was started, so that it can be started again."""

    embedded: bool = False
    architecture: Line | None = None
    origins: Annotated[tuple[Line, ...], Field(max_length=100)] = ()
    overrides: Annotated[dict[Line, Line], Field(max_length=100)] = {}
    keys: Line | None = None
    """The absolute path of the file with the hashes of the keys."""
    ops: Operations | None = None
    """Prices, budgets and the audit log, in place of the kit's own."""

    @field_serializer("ops")
    def _stated(self, ops: Operations | None) -> dict[str, Any] | None:
        # Sections that are not stated are the kit's; as null they would end its budgets.
        return None if ops is None else ops.model_dump(mode="json", exclude_unset=True)


class Revision(DeploymentValue):
    """One version of a deployment."""

    number: Number
    reference: Line
    """The kit's folder, or the image, as it was asked for."""
    settings: Settings
    user: Line
    """Who asked for it."""
    created_seconds: Moment
    reason: MaybeLine = ""
    """Why, in the user's words."""
    state: State = State.STARTING
    kit: MaybeLine = ""
    """The kit's name and version; empty until the image is there."""
    image: Digested | None = None
    recipe: Digested | None = None
    built_here: bool = False
    """Whether its image was built by the command that deployed it."""
    tested: Annotated[tuple[TestedClaim, ...], Field(max_length=_MAX_CLAIMS)] = ()
    gates: Annotated[tuple[GateResult, ...], Field(max_length=_MAX_GATES)] = ()

    @property
    def failed_gate(self) -> GateResult | None:
        """The gate that stopped it."""
        return next((item for item in self.gates if not item.passed), None)

    def with_gate(self, result: GateResult) -> Self:
        """Return the revision with the newest result of a gate."""
        others = tuple(item for item in self.gates if item.gate is not result.gate)
        return self.model_copy(update={"gates": (*others, result)[-_MAX_GATES:]})


class Step(StrEnum):
    """What is done, or to be done next, for a change. ``upgrade`` has their order."""

    STOP_OLD = "stop-old"
    START_NEW = "start-new"
    AWAIT_NEW = "await-new"
    TEST_NEW = "test-new"
    MOVE = "move"
    WATCH = "watch"
    RETIRE_OLD = "retire-old"
    REVIVE_OLD = "revive-old"
    MOVE_BACK = "move-back"
    DISCARD_NEW = "discard-new"
    TAKE_DOWN = "take-down"


class Verb(StrEnum):
    """What was asked for."""

    UP = "up"
    ROLLBACK = "rollback"
    REPAIR = "repair"
    DOWN = "down"


class Change(DeploymentValue):
    """A change that has begun and has not ended: written before each of its steps."""

    verb: Verb
    step: Step
    new: Number | None = None
    """The revision that shall get the traffic."""
    old: Number | None = None
    """The revision that had the traffic before."""
    stops_first: bool = False
    """Whether the old revision is stopped before the new one starts: both do not fit."""


class Deployment(DeploymentValue):
    """An address, and the revisions that answer there."""

    format: Literal["mealkit.deployment/v1"] = "mealkit.deployment/v1"
    name: DeploymentName
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    """Distinguishes its containers from those of a deployment of the same name in another home."""
    address: Line
    port: Annotated[int, Field(ge=1, le=65535)]
    client: Line
    """The container client: all revisions run in the same one."""
    restart: Literal["no", "on-failure", "unless-stopped", "always"] = "unless-stopped"
    revisions: Annotated[tuple[Revision, ...], Field(max_length=MAX_REVISIONS)] = ()
    serving: Number | None = None
    """The number of the revision that has the traffic; null: none."""
    served: Annotated[tuple[Number, ...], Field(max_length=MAX_REVISIONS)] = ()
    """The numbers of the revisions that have had the traffic, in the order of the last time."""
    change: Change | None = None

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        numbers = [item.number for item in self.revisions]
        if numbers != sorted(set(numbers)):
            raise ValueError("the revisions are not in the order of their numbers")
        change = self.change
        changing = (change.new, change.old) if change else ()
        named = {self.serving, *changing, *self.served} - {None}
        if not named <= set(numbers):
            raise ValueError("a number is not that of a revision")
        return self

    @property
    def next_number(self) -> int:
        """The number of the next revision."""
        return self.revisions[-1].number + 1 if self.revisions else 1

    @property
    def url(self) -> str:
        """The address that callers use."""
        address = caller_address(self.address)
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self.port}"

    def revision(self, number: int) -> Revision:
        """Return a revision by its number.

        Raises:
            DeploymentError: ``DEPLOYMENT_REVISION``, there is none.
        """
        found = next((item for item in self.revisions if item.number == number), None)
        if found is None:
            raise failure(
                "DEPLOYMENT_REVISION",
                f"{self.name} has no revision {number}",
                hint=f"mealkit history {self.name}",
            )
        return found

    def with_revision(self, revision: Revision) -> Self:
        """Return the deployment with a new revision, or with one that has changed."""
        every = {item.number: item for item in self.revisions} | {revision.number: revision}
        kept = sorted(every)[-MAX_REVISIONS:]
        served = tuple(number for number in self.served if number in kept)
        return self._with(revisions=tuple(every[number] for number in kept), served=served)

    def with_state(self, number: int, state: State) -> Self:
        """Return the deployment with another state of one revision."""
        found = self.revision(number)
        return self.with_revision(found.model_copy(update={"state": state}))

    def with_change(self, change: Change | None) -> Self:
        """Return the deployment with a change that begins, goes on, or (None) has ended."""
        return self._with(change=change)

    def with_serving(self, number: int | None) -> Self:
        """Return the deployment with the traffic at another revision, or (None) at none."""
        if number is None:
            return self._with(serving=None)
        others = tuple(item for item in self.served if item != number)
        serving = self._with(serving=number, served=(*others, number))
        return serving.with_state(number, State.SERVING)

    def in_state(self, state: State) -> tuple[Revision, ...]:
        """Return the revisions in a state, the oldest first."""
        return tuple(item for item in self.revisions if item.state is state)

    def as_bytes(self) -> bytes:
        """Return the bytes of the file."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    def _with(self, **fields: Any) -> Self:
        # Checked again, because model_copy checks nothing.
        return type(self).model_validate({**dict(self), **fields})


def container_name(deployment: str, number: int) -> str:
    """Return the name of a revision's container."""
    return f"{deployment}-r{number}"


def read_deployment(data: bytes, where: str) -> Deployment:
    """Read the file of a deployment.

    Raises:
        DeploymentError: ``DEPLOYMENT_INVALID``.
    """
    try:
        # Our parser first rejects what is not JSON, such as NaN, which pydantic's parser accepts.
        return Deployment.model_validate_json(json.dumps(parse_json_object(data)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{place}: {first['msg']}" if place else first["msg"]
        raise failure("DEPLOYMENT_INVALID", message, where=where) from error
    except UntrustedError as error:
        raise failure("DEPLOYMENT_INVALID", str(error), where=where) from error

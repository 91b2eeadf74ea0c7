"""The state machine of a kit from start to stop, with the reason and duration of each state.

Raises ValueError for transitions that are not allowed, such as from starting directly to ready. No
I/O: the caller passes the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mealkit.errors import Problem


class Status(StrEnum):
    """The state of a kit."""

    STARTING = "starting"
    PREFLIGHT = "preflight"
    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    LAME_DUCK = "lame-duck"
    """Not ready any more, but new requests are still answered."""
    DRAINING = "draining"
    FAILED = "failed"


_ALWAYS = frozenset({Status.DRAINING, Status.FAILED})
_STOPPING = frozenset({Status.LAME_DUCK, Status.DRAINING})

_MOVES: dict[Status, frozenset[Status]] = {
    Status.STARTING: frozenset({Status.PREFLIGHT}) | _ALWAYS,
    Status.PREFLIGHT: frozenset({Status.VERIFYING}) | _ALWAYS,
    Status.VERIFYING: frozenset({Status.LOADING}) | _ALWAYS,
    Status.LOADING: frozenset({Status.LOADING, Status.WARMING}) | _ALWAYS,
    Status.WARMING: frozenset({Status.READY, Status.LOADING}) | _ALWAYS,
    # A worker that died is started and loaded again.
    Status.READY: frozenset({Status.LOADING, Status.LAME_DUCK}) | _ALWAYS,
    Status.LAME_DUCK: _ALWAYS,
    Status.DRAINING: frozenset({Status.FAILED}),
    Status.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state at one moment."""

    status: Status
    reason: str
    since_seconds: float
    """How long the kit has had this status."""
    elapsed_seconds: float
    """How long ago the process started."""
    phases: dict[str, float]
    """Seconds of each phase of the start; overlapping phases are each counted in full."""
    problem: Problem | None
    """The last problem, until the kit is ready again."""

    def as_json(self) -> dict[str, object]:
        """Return the body of the readiness endpoint."""
        return {
            "status": self.status.value,
            "reason": self.reason,
            "since_seconds": round(self.since_seconds, 3),
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "phases": {name: round(seconds, 3) for name, seconds in self.phases.items()},
            "problem": self.problem.as_json() if self.problem else None,
            "owner": self.problem.owner.value if self.problem else None,
        }


class Lifecycle:
    """The state machine: status, reason, last problem, and the seconds of each phase."""

    def __init__(self, clock: Callable[[], float], began: float | None = None) -> None:
        self._clock = clock
        self._began = self._since = clock() if began is None else began
        self._status = Status.STARTING
        self._reason = "the process has started"
        self._problem: Problem | None = None
        self._running: dict[str, float] = {}
        self._phases: dict[str, float] = {}
        self.listeners: list[Callable[[Snapshot], None]] = []
        """The functions that are called after each transition, in order."""

    @property
    def status(self) -> Status:
        """The kit's status."""
        return self._status

    @property
    def is_ready(self) -> bool:
        """Whether load balancers should send requests to the kit."""
        return self._status is Status.READY

    @property
    def is_stopping(self) -> bool:
        """Whether the kit was told to stop."""
        return self._status in _STOPPING

    def move(self, status: Status, reason: str, problem: Problem | None = None) -> None:
        """Change the status; a change to ready clears the last problem.

        Raises:
            ValueError: the transition is not allowed.
        """
        if status not in _MOVES[self._status]:
            raise ValueError(f"a kit cannot go from {self._status} to {status}")
        self._status, self._reason, self._since = status, reason, self._clock()
        if problem is not None:
            self._problem = problem
        elif status is Status.READY:
            self._problem = None
        snapshot = self.snapshot()
        for listener in self.listeners:
            listener(snapshot)

    def note(self, reason: str, problem: Problem | None = None) -> None:
        """Set another reason for the current status."""
        self._reason = reason
        self._problem = problem or self._problem

    def begin(self, phase: str) -> None:
        """Start to count a phase's seconds; restart the count if the phase ran before."""
        self._running[phase] = self._clock()

    def end(self, phase: str) -> float:
        """Stop counting a phase; return its seconds (0 if it was not running)."""
        began = self._running.pop(phase, None)
        if began is not None:
            self._phases[phase] = self._clock() - began
        return self._phases.get(phase, 0.0)

    def snapshot(self) -> Snapshot:
        """Return the current state."""
        now = self._clock()
        running = {phase: now - began for phase, began in self._running.items()}
        return Snapshot(
            status=self._status,
            reason=self._reason,
            since_seconds=now - self._since,
            elapsed_seconds=now - self._began,
            phases=self._phases | running,
            problem=self._problem,
        )

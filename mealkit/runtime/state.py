"""The states of a kit from start to stop, as one machine that knows why and for how long.

Refuses moves that make no sense, so that ready is never reached by a side door. Pure: the clock is
handed in, nothing is read or written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mealkit.errors import Problem


class Status(StrEnum):
    """Where a kit stands."""

    STARTING = "starting"
    PREFLIGHT = "preflight"
    VERIFYING = "verifying"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    FAILED = "failed"


_ALWAYS = frozenset({Status.DRAINING, Status.FAILED})

_MOVES: dict[Status, frozenset[Status]] = {
    Status.STARTING: frozenset({Status.PREFLIGHT}) | _ALWAYS,
    Status.PREFLIGHT: frozenset({Status.VERIFYING}) | _ALWAYS,
    Status.VERIFYING: frozenset({Status.LOADING}) | _ALWAYS,
    Status.LOADING: frozenset({Status.LOADING, Status.WARMING}) | _ALWAYS,
    Status.WARMING: frozenset({Status.READY, Status.LOADING}) | _ALWAYS,
    # A worker that died is loaded again.
    Status.READY: frozenset({Status.LOADING}) | _ALWAYS,
    Status.DRAINING: frozenset({Status.FAILED}),
    Status.FAILED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known at one moment."""

    status: Status
    reason: str
    since_seconds: float
    """How long this status has lasted."""
    elapsed_seconds: float
    """How long ago the process started."""
    phases: dict[str, float]
    """Seconds of each phase of the start; phases that overlap are each counted in full."""
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
    """The machine: one status, its reason, the last problem, and the seconds of every phase."""

    def __init__(self, clock: Callable[[], float], began: float | None = None) -> None:
        self._clock = clock
        self._began = self._since = clock() if began is None else began
        self._status = Status.STARTING
        self._reason = "the process has started"
        self._problem: Problem | None = None
        self._running: dict[str, float] = {}
        self._phases: dict[str, float] = {}
        self.listeners: list[Callable[[Snapshot], None]] = []
        """Called after each move, in order."""

    @property
    def status(self) -> Status:
        """Where the kit stands."""
        return self._status

    @property
    def is_ready(self) -> bool:
        """Whether requests may be answered."""
        return self._status is Status.READY

    def move(self, status: Status, reason: str, problem: Problem | None = None) -> None:
        """Go to another status; being ready forgets the last problem.

        Raises:
            ValueError: there is no such move.
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
        """Say more about the present status."""
        self._reason = reason
        self._problem = problem or self._problem

    def begin(self, phase: str) -> None:
        """Start to count a phase's seconds; again, if it ran before."""
        self._running[phase] = self._clock()

    def end(self, phase: str) -> float:
        """Stop counting a phase; return its seconds (0, if it was not running)."""
        began = self._running.pop(phase, None)
        if began is not None:
            self._phases[phase] = self._clock() - began
        return self._phases.get(phase, 0.0)

    def snapshot(self) -> Snapshot:
        """Return all that is known now."""
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

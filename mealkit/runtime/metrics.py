"""What the kit measures of itself, in Prometheus' text format. No caller's text is ever a label."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mealkit.errors import Problem
from mealkit.runtime.state import Snapshot, Status

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
)


class Metrics:
    """The counters and gauges of one container."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        self._state = Gauge(
            "mealkit_state", "1 for the present state", ["state"], registry=registry
        )
        self._startup = Gauge(
            "mealkit_startup_seconds",
            "Seconds of a phase of the start",
            ["phase"],
            registry=registry,
        )
        self._requests = Counter(
            "mealkit_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mealkit_request_seconds",
            "Seconds from a request to the end of its answer",
            ["route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._tokens = Counter(
            "mealkit_tokens", "Tokens that the engine counted", registry=registry
        )
        self._failures = Counter(
            "mealkit_failures", "Problems, by code and owner", ["code", "owner"], registry=registry
        )
        self._restarts = Counter(
            "mealkit_worker_restarts", "Times the worker was started again", registry=registry
        )
        self._running = Gauge(
            "mealkit_requests_running", "Requests that the engine works on", registry=registry
        )
        self._waiting = Gauge(
            "mealkit_requests_waiting", "Requests that wait for their turn", registry=registry
        )
        self._canaries = Counter(
            "mealkit_canaries", "Signs of life asked of the engine", ["result"], registry=registry
        )
        self._canary_seconds = Gauge(
            "mealkit_canary_seconds", "Seconds that the last sign of life took", registry=registry
        )
        self._states = {status: self._state.labels(status.value) for status in Status}
        self._states[Status.STARTING].set(1)

    def moved(self, snapshot: Snapshot) -> None:
        """Record a move of the state machine."""
        for status, gauge in self._states.items():
            gauge.set(status is snapshot.status)
        for phase, seconds in snapshot.phases.items():
            self._startup.labels(phase).set(seconds)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def failed(self, fault: Problem) -> None:
        """Count a problem."""
        self._failures.labels(fault.code, fault.owner.value).inc()

    def used(self, tokens: int) -> None:
        """Count tokens."""
        self._tokens.inc(tokens)

    def restarted(self) -> None:
        """Count a restart of the worker."""
        self._restarts.inc()

    def turns(self, running: int, waiting: int) -> None:
        """Record how many requests the engine works on, and how many wait for their turn."""
        self._running.set(running)
        self._waiting.set(waiting)

    def sang(self, result: str, seconds: float) -> None:
        """Count a sign of life that was asked for."""
        self._canaries.labels(result).inc()
        self._canary_seconds.set(seconds)

    def count_connections(self, count: Callable[[], int]) -> None:
        """Have ``count`` say how many connections there are."""
        gauge = Gauge("mealkit_connections", "Callers' open connections", registry=self._registry)
        gauge.set_function(lambda: float(count()))

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

"""The kit's metrics, in Prometheus' text format. Text from callers is never a label.

Names begin with ``mealkit_``; metrics of the engine's work have OpenTelemetry's names, in
Prometheus' spelling.
"""

from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from mealkit.errors import CATALOGUE, EngineError, Owner, PreflightError, Problem, RequestError
from mealkit.recipe.data_contract import DataContract
from mealkit.recipe.lock import Lock
from mealkit.runtime.api.usage import TokenUsage
from mealkit.runtime.state import Snapshot, Status
from mealkit.runtime.watch.data_metrics import DataMetrics
from mealkit.runtime.watch.exchange_metrics import ExchangeMetrics

CONTENT_TYPE = CONTENT_TYPE_LATEST
OPENMETRICS = openmetrics.CONTENT_TYPE_LATEST
"""The content type of the form that has exemplars."""

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
    # A kit may give an answer more than a minute.
    120.0,
    300.0,
    600.0,
)
# What can happen to a kit that serves.
_SERVING_ERRORS = (EngineError, PreflightError, RequestError)

# OpenTelemetry's semantic conventions for generative AI, and their advice on buckets:
# https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
_REQUEST_BUCKETS = tuple(0.01 * 2**power for power in range(14))
_FIRST_BUCKETS = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1),
    *(0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_NEXT_BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKEN_BUCKETS = tuple(float(4**power) for power in range(14))
_ATTRIBUTES = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_PROVIDER = "mealkit"


class Metrics:
    """The counters and gauges of one container."""

    def __init__(self, model: str) -> None:
        """Begin at zero; ``model`` is the name of the served model."""
        # Prometheus would store the times as one more series for each counter, and ignore them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        self._use = _Use(model, registry)
        ProcessCollector(registry=registry)
        self._registry = registry
        self._state = Gauge(
            "mealkit_state", "1 for the current state", ["state"], registry=registry
        )
        self._startup = Gauge(
            "mealkit_startup_seconds",
            "Seconds of each phase of the start",
            ["phase"],
            registry=registry,
        )
        self._requests = Counter(
            "mealkit_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "mealkit_request_seconds",
            "Seconds from a request to the end of its answer, without refusals",
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
            "mealkit_worker_restarts", "Restarts of the worker", registry=registry
        )
        self._running = Gauge(
            "mealkit_requests_running", "Requests that the engine is processing", registry=registry
        )
        self._waiting = Gauge(
            "mealkit_requests_waiting", "Requests in the queue", registry=registry
        )
        self._canaries = Counter(
            "mealkit_canaries", "Canary requests to the engine", ["result"], registry=registry
        )
        self._canary_seconds = Gauge(
            "mealkit_canary_seconds", "Seconds of the last canary request", registry=registry
        )
        self._cases = Gauge(
            "mealkit_case_met",
            "1 if the last answer to the kit's first case meets its expectation, else 0",
            ["case"],
            registry=registry,
        )
        self._begin_at_zero()
        self._states = {status: self._state.labels(status.value) for status in Status}
        self._states[Status.STARTING].set(1)

    def _begin_at_zero(self) -> None:
        """Show the counters of rare events before the first one.

        A counter that begins at 1 has not increased, for Prometheus: an alert would miss the event.
        """
        for code, entry in CATALOGUE.items():
            if issubclass(entry.error, _SERVING_ERRORS):
                self._failures.labels(code, entry.owner.value)
        for result in ("ok", "failed"):
            self._canaries.labels(result)

    def moved(self, snapshot: Snapshot) -> None:
        """Record a transition of the state machine."""
        for status, gauge in self._states.items():
            gauge.set(status is snapshot.status)
        for phase, seconds in snapshot.phases.items():
            self._startup.labels(phase).set(seconds)

    def identify(self, lock: Lock, image: str) -> None:
        """Show which kit this is; ``image`` is the image's digest, or empty."""
        facts = {
            "kit": lock.about.name,
            "version": lock.about.version,
            "recipe": str(lock.recipe),
            "image": image,
            "engine": lock.engine.name,
            "team": lock.about.owner.team,
        }
        Info("mealkit", "The kit", registry=self._registry).info(facts)

    def answered(
        self, route: str, status: int, seconds: float | None, exemplar: dict[str, str] | None = None
    ) -> None:
        """Count a request; ``seconds`` is None for a refusal, which is not in the durations.

        ``exemplar`` names the request, beside the bucket that it falls into.
        """
        self._requests.labels(route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds, exemplar)

    def watch_exchanges(self, keys: Iterable[str], currency: str | None) -> ExchangeMetrics:
        """Return the watcher of each key's tokens and cost, and of the seconds in the queue."""
        return ExchangeMetrics(keys, currency, self._registry)

    def failed(self, fault: Problem) -> None:
        """Count a problem."""
        self._failures.labels(fault.code, fault.owner.value).inc()

    def used(
        self, operation: str, usage: TokenUsage, seconds: float, first_seconds: float | None
    ) -> None:
        """Count an answer of the engine: its tokens, its seconds, and those to its first piece."""
        self._tokens.inc(usage.total_tokens)
        self._use.note(operation, usage, seconds, first_seconds)

    def missed(self, operation: str, seconds: float, code: str) -> None:
        """Count a request that has reached the engine and ended with a problem."""
        self._use.note_error(operation, seconds, code)

    def restarted(self) -> None:
        """Count a restart of the worker."""
        self._restarts.inc()

    def queue(self, running: int, waiting: int) -> None:
        """Record how many requests the engine is processing, and how many are in the queue."""
        self._running.set(running)
        self._waiting.set(waiting)

    def probed(self, result: str, seconds: float) -> None:
        """Count a canary request."""
        self._canaries.labels(result).inc()
        self._canary_seconds.set(seconds)

    def compared(self, case: str, *, is_met: bool) -> None:
        """Record whether the answer to a case of the kit meets its expectation."""
        self._cases.labels(case).set(is_met)

    def watch_audit(self) -> Callable[[float], None]:
        """Return what counts lines that are missing in the audit log."""
        unwritable = "AUDIT_UNWRITABLE"
        self._failures.labels(unwritable, CATALOGUE[unwritable].owner.value)
        lost = Counter(
            "mealkit_audit_lost",
            "Lines that are missing in the audit log, because the disk was full",
            registry=self._registry,
        )
        return lost.inc

    def watch_data(self, contract: DataContract) -> DataMetrics:
        """Return the metrics of a kit's data contract; its counters begin at 0."""
        for rules in contract.inputs.values():
            for rule in rules.active:
                self._failures.labels(f"DATA_{rule.upper()}", Owner.CALLER.value)
        return DataMetrics(contract, self._registry)

    def count_connections(self, count: Callable[[], int]) -> None:
        """Use ``count`` to get the number of open connections."""
        gauge = Gauge("mealkit_connections", "Open connections of callers", registry=self._registry)
        gauge.set_function(lambda: float(count()))

    def register(self, collector: Collector) -> None:
        """Show what a collector computes when the metrics are read."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def openmetrics(self) -> bytes:
        """Return everything in the text format of OpenMetrics, with exemplars."""
        text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return text


class _Use:
    """Metrics of the engine's work, under the names that dashboards for other engines use."""

    def __init__(self, model: str, registry: CollectorRegistry) -> None:
        self._model = model

        def histogram(
            name: str, means: str, buckets: tuple[float, ...], more: tuple[str, ...] = ()
        ) -> Histogram:
            labels = (*_ATTRIBUTES, *more)
            return Histogram(name, means, labels, buckets=buckets, registry=registry)

        self._request = histogram(
            "gen_ai_server_request_duration_seconds",
            "Seconds of the engine for a request",
            _REQUEST_BUCKETS,
            ("error_type",),
        )
        self._first = histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "Seconds to the first piece of a streamed answer",
            _FIRST_BUCKETS,
        )
        self._next = histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "Seconds per token after the first of a streamed answer",
            _NEXT_BUCKETS,
        )
        self._tokens = histogram(
            "gen_ai_client_token_usage",
            "Tokens of a request and of its answer",
            _TOKEN_BUCKETS,
            ("gen_ai_token_type",),
        )

    def note(
        self, operation: str, usage: TokenUsage, seconds: float, first_seconds: float | None
    ) -> None:
        labels = (operation, _PROVIDER, self._model)
        self._request.labels(*labels, "").observe(seconds)
        if usage.prompt_tokens:
            self._tokens.labels(*labels, "input").observe(usage.prompt_tokens)
        if usage.completion_tokens:
            self._tokens.labels(*labels, "output").observe(usage.completion_tokens)
        if first_seconds is not None:
            self._first.labels(*labels).observe(first_seconds)
            if usage.completion_tokens > 1:
                later = (seconds - first_seconds) / (usage.completion_tokens - 1)
                self._next.labels(*labels).observe(later)

    def note_error(self, operation: str, seconds: float, code: str) -> None:
        self._request.labels(operation, _PROVIDER, self._model, code).observe(seconds)

"""Traces requests for OpenTelemetry: request, queue, engine, and the first piece of a stream.

The spans are built when an exchange has ended, because then all of its times are known, and are
given to the SDK's batch processor. Never contains a text or a key. Names follow the semantic
conventions for HTTP and for generative AI: https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from mealkit.recipe.lock import Lock
from mealkit.runtime.exchanges import Exchange, Outcome, Trace
from mealkit.runtime.settings import Settings
from mealkit.runtime.urls import LIVE_PATHS, METRICS_PATH, READY_PATHS
from mealkit.runtime.watch.telemetry import closed_in_time, resource_of

_UNTRACED = frozenset({*LIVE_PATHS, *READY_PATHS, METRICS_PATH})
_PATH_CHARACTERS = 200
_NANOSECONDS = 1_000_000_000
_PROVIDER = "mealkit"
_FIRST = "gen_ai.first_token"
_UNSET = Status()
_PROPAGATOR = TraceContextTextMapPropagator()
_CONTEXT_BYTES = 512
_CONTEXT_HEADERS = (b"traceparent", b"tracestate")


@dataclass(slots=True)
class _Traced(Trace):
    """The ids of the spans of one exchange."""

    request: SpanContext
    engine: SpanContext
    caller: SpanContext | None


class TraceWatcher:
    """Makes the spans of each exchange."""

    def __init__(self, lock: Lock, settings: Settings) -> None:
        """Start the export."""
        self._model = lock.model.name
        self._recipe = str(lock.recipe)
        # Its sampler and its ids are those that the variables ask for.
        self._provider = TracerProvider(
            resource=resource_of(lock, settings), shutdown_on_exit=False
        )
        self._processor = BatchSpanProcessor(OTLPSpanExporter())
        self._scope = InstrumentationScope("mealkit", lock.mealkit_version)

    def arrived(self, exchange: Exchange, scope: Scope) -> None:
        """Continue the caller's trace, or begin one."""
        if scope["path"] in _UNTRACED:
            return
        carrier = {
            str(name, "latin-1"): str(value, "latin-1")
            for name, value in scope["headers"]
            # The SDK complains about longer ones, and its complaints are written to the log.
            if name in _CONTEXT_HEADERS and len(value) <= _CONTEXT_BYTES
        }
        context, caller = None, None
        if carrier:
            context = _PROPAGATOR.extract(carrier)
            found = trace.get_current_span(context).get_span_context()
            caller = found if found.is_valid else None
        ids = self._provider.id_generator
        trace_id = caller.trace_id if caller else ids.generate_trace_id()
        sampled = self._provider.sampler.should_sample(
            context, trace_id, exchange.method, SpanKind.SERVER
        )
        is_sampled = sampled.decision is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if is_sampled else TraceFlags.DEFAULT)

        def new_context() -> SpanContext:
            span_id = ids.generate_span_id()
            return SpanContext(
                trace_id,
                span_id,
                is_remote=False,
                trace_flags=flags,
                trace_state=sampled.trace_state,
            )

        engine = new_context()
        exchange.trace = _Traced(
            trace_id=f"{trace_id:032x}",
            is_sampled=is_sampled,
            engine_headers=_headers(engine),
            request=new_context(),
            engine=engine,
            caller=caller,
        )
        exchange.notes["trace_id"] = exchange.trace.trace_id

    async def admit(self, exchange: Exchange) -> None:
        """Let every request pass."""

    def ended(self, exchange: Exchange) -> None:
        """Make the spans of an exchange, and hand them to the batch processor."""
        traced = exchange.trace
        if isinstance(traced, _Traced) and traced.is_sampled:
            for span in self._spans(exchange, traced):
                self._processor.on_end(span)

    def close(self) -> None:
        """Send what is left."""
        closed_in_time(self._processor.shutdown)

    def _spans(self, exchange: Exchange, traced: _Traced) -> Iterator[ReadableSpan]:
        clock = _Clock(exchange)
        fault = exchange.problem
        status = _UNSET
        if exchange.outcome is Outcome.FAILED or exchange.status >= 500:
            status = Status(StatusCode.ERROR, fault.code if fault else None)
        if exchange.queued_seconds is not None:
            left = exchange.admitted_seconds or exchange.ended_seconds
            queue = SpanContext(
                traced.request.trace_id,
                self._provider.id_generator.generate_span_id(),
                is_remote=False,
                trace_flags=traced.request.trace_flags,
            )
            yield self._span("queue", queue, traced.request, clock, exchange.queued_seconds, left)
        if exchange.reached_seconds is not None:
            events: tuple[Event, ...] = ()
            if exchange.first_seconds is not None:
                events = (Event(_FIRST, timestamp=clock.at(exchange.first_seconds)),)
            operation = exchange.endpoint.operation if exchange.endpoint else "engine"
            yield self._span(
                f"{operation} {self._model}",
                traced.engine,
                traced.request,
                clock,
                exchange.reached_seconds,
                exchange.ended_seconds,
                kind=SpanKind.CLIENT,
                attributes=self._engine_attributes(exchange, operation),
                events=events,
                status=status,
            )
        route = exchange.endpoint.path if exchange.endpoint else ""
        yield self._span(
            f"{exchange.method} {route}".strip(),
            traced.request,
            traced.caller,
            clock,
            exchange.began_seconds,
            exchange.ended_seconds,
            kind=SpanKind.SERVER,
            attributes=self._request_attributes(exchange, route),
            status=status,
        )

    def _span(  # noqa: PLR0913  the parts of a span
        self,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        clock: "_Clock",
        began_seconds: float,
        ended_seconds: float | None,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, Any] | None = None,
        events: tuple[Event, ...] = (),
        status: Status = _UNSET,
    ) -> ReadableSpan:
        return ReadableSpan(
            name,
            context,
            parent,
            self._provider.resource,
            attributes or {},
            events,
            kind=kind,
            status=status,
            start_time=clock.at(began_seconds),
            end_time=clock.at(ended_seconds or began_seconds),
            instrumentation_scope=self._scope,
        )

    def _engine_attributes(self, exchange: Exchange, operation: str) -> dict[str, Any]:
        usage, fault = exchange.usage, exchange.problem
        found: dict[str, Any] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": _PROVIDER,
            "gen_ai.request.model": self._model,
        }
        # The paper's own code counts no tokens.
        if usage and usage.total_tokens:
            found["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            found["gen_ai.usage.output_tokens"] = usage.completion_tokens
        if exchange.asked and exchange.asked.seed is not None:
            found["gen_ai.request.seed"] = exchange.asked.seed
        if fault:
            found["error.type"] = fault.code
        return found

    def _request_attributes(self, exchange: Exchange, route: str) -> dict[str, Any]:
        fault, asked = exchange.problem, exchange.asked
        found: dict[str, Any] = {
            "http.request.method": exchange.method,
            "http.response.status_code": exchange.status,
            "url.path": exchange.path[:_PATH_CHARACTERS],
            "mealkit.request_id": exchange.request_id,
            "mealkit.recipe": self._recipe,
            "mealkit.outcome": exchange.outcome.value,
        }
        further = {
            "http.route": route,
            "mealkit.key": exchange.caller,
            "mealkit.prompt": asked.prompt if asked else "",
            "mealkit.cost": exchange.cost,
            "error.type": fault.code if fault else "",
            "mealkit.owner": fault.owner.value if fault else "",
        }
        return found | {name: value for name, value in further.items() if value}


class _Clock:
    """Turns the times of an exchange into those of OpenTelemetry, nanoseconds since 1970."""

    def __init__(self, exchange: Exchange) -> None:
        self._offset_seconds = exchange.began_unix_seconds - exchange.began_seconds

    def at(self, seconds: float) -> int:
        return int((self._offset_seconds + seconds) * _NANOSECONDS)


def _headers(context: SpanContext) -> bytes:
    flags = int(context.trace_flags)
    lines = f"traceparent: 00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}\r\n"
    if context.trace_state:
        lines += f"tracestate: {context.trace_state.to_header()}\r\n"
    return lines.encode("ascii", "ignore")

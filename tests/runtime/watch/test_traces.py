"""Traces and audit records of real kits, at a collector that reads OpenTelemetry's own protobuf."""

import json
import signal
from pathlib import Path

import pytest
from fakes.otlp_receiver import otlp_collector, values

pytestmark = pytest.mark.xdist_group("traces")

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "a text that nobody else may see"


def variables(url):
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_BSP_SCHEDULE_DELAY": "50",
        "OTEL_BLRP_SCHEDULE_DELAY": "50",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "MEALKIT_OPS": json.dumps({"telemetry": True, "audit": {}}),
    }


@pytest.fixture(scope="module")
def collector():
    with otlp_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def kit(start_shared, make_api_lock, collector):
    return start_shared(make_api_lock(), environment=variables(collector.url)).wait_ready()


def chat(kit, text, name, **more):
    return kit.client.post(
        "/v1/chat/completions",
        json={"model": "stand-in", "messages": [{"role": "user", "content": text}], **more},
        headers={"X-Request-Id": name, "traceparent": PARENT, "tracestate": "a=1"},
    )


def spans_of(kit, collector, name, count):
    """Return the spans of a request by their names."""

    def found():
        roots = [
            span
            for span in collector.spans()
            if values(span.attributes).get("mealkit.request_id") == name
        ]
        if not roots:
            return None
        (root,) = roots
        others = [span for span in collector.spans() if span.parent_span_id == root.span_id]
        return len(others) == count - 1 and {span.name: span for span in (root, *others)}

    return kit.wait_for(found)


def test_spans_of_a_stream(kit, collector):
    """A request has three spans in the caller's trace, and the first piece of its stream is an event."""
    assert chat(kit, "count:3", "stream", stream=True).status_code == 200
    spans = spans_of(kit, collector, "stream", 3)
    assert set(spans) == {"POST /v1/chat/completions", "queue", "chat stand-in"}
    request, queue, engine = (
        spans[name] for name in ("POST /v1/chat/completions", "queue", "chat stand-in")
    )
    _, trace_id, parent, _ = PARENT.split("-")
    assert {span.trace_id.hex() for span in spans.values()} == {trace_id}
    assert request.parent_span_id.hex() == parent
    assert (request.kind, engine.kind) == (request.SPAN_KIND_SERVER, engine.SPAN_KIND_CLIENT)
    times = [
        request.start_time_unix_nano,
        queue.start_time_unix_nano,
        queue.end_time_unix_nano,
        engine.start_time_unix_nano,
        engine.events[0].time_unix_nano,
        engine.end_time_unix_nano,
    ]
    assert times == sorted(times)
    assert engine.events[0].name == "gen_ai.first_token"
    found = values(engine.attributes)
    assert found["gen_ai.operation.name"] == "chat"
    assert found["gen_ai.request.model"] == "stand-in"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (1, 3)
    found = values(request.attributes)
    assert (found["http.response.status_code"], found["http.route"]) == (
        200,
        "/v1/chat/completions",
    )
    assert found["mealkit.outcome"] == "answered"
    (line,) = kit.wait_for(
        lambda: [e for e in kit.events("request") if e["request_id"] == "stream"]
    )
    assert line["trace_id"] == trace_id


def test_engine_gets_the_trace(kit, collector):
    """The engine's request has a traceparent whose parent is the engine's span."""
    text = chat(kit, "headers", "engine").json()["choices"][0]["message"]["content"]
    headers = dict(line.split(": ", 1) for line in text.splitlines() if line)
    spans = spans_of(kit, collector, "engine", 3)
    _, trace_id, span_id, flags = headers["traceparent"].split("-")
    assert (trace_id, flags) == (PARENT.split("-")[1], "01")
    assert span_id == spans["chat stand-in"].span_id.hex()
    assert headers["tracestate"] == "a=1"


def test_refused_and_failed_requests(kit, collector):
    """A refusal has no span of the engine; a failure has the problem's code and an error."""
    chat(kit, SECRET, "refused", nonsense=1)
    (request,) = spans_of(kit, collector, "refused", 1).values()
    assert values(request.attributes)["error.type"] == "REQUEST_UNSUPPORTED"
    assert request.status.code == request.status.STATUS_CODE_UNSET
    chat(kit, "cut:2", "failed", stream=True)
    spans = spans_of(kit, collector, "failed", 3)
    assert values(spans["chat stand-in"].attributes)["error.type"] == "ENGINE_ANSWER"
    assert spans["chat stand-in"].status.code == request.status.STATUS_CODE_ERROR


def test_callers_decide_about_sampling(kit, collector):
    """A trace that its caller does not record is not recorded here; a damaged header begins a new one."""
    for name, parent in (("no", PARENT[:-2] + "00"), ("bad", "00-zz-1-01\r")):
        kit.client.get("/v1/models", headers={"X-Request-Id": name, "traceparent": parent.strip()})
    (span,) = spans_of(kit, collector, "bad", 1).values()
    assert not span.parent_span_id
    assert not [
        s for s in collector.spans() if values(s.attributes).get("mealkit.request_id") == "no"
    ]


def test_resource_and_secrets(kit, collector):
    """The resource is the kit, with what the variables add; no text of a request leaves the kit."""
    chat(kit, SECRET, "secret")
    spans_of(kit, collector, "secret", 3)
    resource = collector.resources()[0]
    assert (resource["service.name"], resource["service.version"]) == ("kit", "1.0")
    assert resource["deployment.environment.name"] == "test"
    assert not [data for data in collector.raw if SECRET.encode() in data]


def test_audit_records(kit, collector):
    """The lines of the audit log are sent as they are in the file."""
    chat(kit, "hello", "audited")
    records = kit.wait_for(
        lambda: [r for r in collector.records() if '"audited"' in r.body.string_value][1:]
    )
    text = (kit.root / "state" / "audit" / "chain-0001" / "audit-000001.jsonl").read_text()
    assert records[0].body.string_value in text.splitlines()
    assert records[0].event_name == "mealkit.audit"


def test_no_collector(start, make_api_lock):
    """A collector that is not there delays no answer and no stop, and is one line in the log."""
    kit = start(make_api_lock(), environment=variables("http://127.0.0.1:9")).wait_ready()
    for _ in range(20):
        assert kit.chat("hello").status_code == 200
    kit.wait_for(lambda: kit.events("telemetry"))
    kit.process.send_signal(signal.SIGINT)
    assert kit.wait_end() == 0
    assert len(kit.events("telemetry")) == 1


def test_telemetry_that_is_not_in_the_image(start):
    """An endpoint without `ops.telemetry` is one warning, and nothing is imported."""
    kit = start(environment={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"})
    kit.wait_ready()
    assert kit.embed("hello").status_code == 200
    (line,) = kit.events("telemetry")
    assert "ops.telemetry: true" in line["hint"]
    loaded = (Path("/proc") / str(kit.process.pid) / "maps").read_text()
    assert "opentelemetry" not in loaded

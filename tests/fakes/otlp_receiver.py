"""A collector on loopback: OTLP over HTTP, read with OpenTelemetry's own protobuf classes."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

_TYPES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


class Collector:
    """What has been received, and the address to send it to."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Any] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []

    def spans(self) -> list[Span]:
        return [
            span
            for request in self.requests
            if isinstance(request, ExportTraceServiceRequest)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def records(self) -> list[LogRecord]:
        return [
            record
            for request in self.requests
            if isinstance(request, ExportLogsServiceRequest)
            for resource in request.resource_logs
            for scope in resource.scope_logs
            for record in scope.log_records
        ]

    def resources(self) -> list[dict[str, object]]:
        return [
            values(resource.resource.attributes)
            for request in self.requests
            for resource in getattr(request, "resource_spans", ()) or request.resource_logs
        ]


def values(attributes: "list[KeyValue]") -> dict[str, object]:
    """Return attributes as a dictionary."""
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value") or "string_value")
        for item in attributes
    }


@contextmanager
def otlp_collector() -> Iterator[Collector]:
    """Run a collector."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append(dict(self.headers))
            collector.raw.append(body)
            collector.requests.append(_TYPES[self.path].FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield collector
    server.shutdown()
    thread.join()
    server.server_close()

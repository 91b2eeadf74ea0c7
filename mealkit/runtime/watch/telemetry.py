"""OpenTelemetry's SDK in this process: who the kit is, where spans and log records go.

The SDK reads the standard OTEL_* variables itself. Imported only if the kit's image contains it and
an endpoint is set. A collector that does not answer delays nothing: queues are bounded, and what
does not fit is dropped.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from mealkit.recipe.lock import Lock
from mealkit.runtime.settings import Settings
from mealkit.runtime.watch.journal import Journal

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_LOGGER = "opentelemetry"
_SILENT_SECONDS = 600.0
_CLOSE_SECONDS = 3.0


def exports(signal: str, environment: Mapping[str, str]) -> bool:
    """Return whether a signal, TRACES or LOGS, is to be exported: an endpoint for it is set."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get(f"OTEL_{signal}_EXPORTER", "").strip().lower() == "none":
        return False
    return bool(
        environment.get(_ENDPOINT) or environment.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
    )


def resource_of(lock: Lock, settings: Settings) -> Resource:
    """Return the kit as a resource; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME go first."""
    kit: dict[str, str] = {
        "service.name": lock.about.name,
        "service.version": lock.about.version,
        "service.instance.id": os.urandom(16).hex(),
        "mealkit.recipe": str(lock.recipe),
    }
    if settings.image_digest:
        kit["container.image.id"] = str(settings.image_digest)
    return _Resource(Resource.create().merge(Resource(kit)).merge(OTELResourceDetector().detect()))


def tell_once(journal: Journal) -> None:
    """Write what the SDK complains about to the kit's log, at most every ten minutes."""
    logger = logging.getLogger(_LOGGER)
    logger.propagate = False
    logger.handlers = [_Complaints(journal)]


def closed_in_time(close: Callable[[], Any]) -> None:
    """Send what is left, for a few seconds at most."""
    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)


class _Resource(Resource):
    """A resource that computes its hash once: exporters ask for it with each record.

    It is a digest of all attributes, which takes a fifth of the time of an export.
    """

    def __init__(self, resource: Resource) -> None:
        super().__init__(resource.attributes, resource.schema_url)
        self._hash = super().__hash__()

    def __hash__(self) -> int:
        return self._hash


class _Complaints(logging.Handler):
    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal
        self._next_seconds = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record without its traceback: the fault is not the kit's."""
        now = time.monotonic()
        if now < self._next_seconds:
            return
        self._next_seconds = now + _SILENT_SECONDS
        hint = "requests are answered all the same; check OTEL_EXPORTER_OTLP_ENDPOINT"
        self._journal.warning("telemetry", message=record.getMessage(), hint=hint)

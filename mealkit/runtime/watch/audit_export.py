"""Sends the lines of the audit log as OpenTelemetry log records, as they are in the file.

So a collector has a copy that `mealkit audit verify` can check, once the lines are in a file again.
What the collector does not take is only in the file.
"""

import time

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from mealkit.recipe.lock import Lock
from mealkit.runtime.settings import Settings
from mealkit.runtime.watch.telemetry import closed_in_time, resource_of

_EVENT = "mealkit.audit"


class AuditExport:
    """Sends lines in the background."""

    def __init__(self, lock: Lock, settings: Settings) -> None:
        """Start the export."""
        self._provider = LoggerProvider(resource_of(lock, settings), shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        self._logger = self._provider.get_logger("mealkit", lock.mealkit_version)

    def line(self, number: int, line: bytes) -> None:
        """Send a line; drop it if too many wait."""
        self._logger.emit(
            LogRecord(
                timestamp=time.time_ns(),
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=line.decode("ascii").strip(),
                attributes={"mealkit.audit.n": number},
                event_name=_EVENT,
            )
        )

    def close(self) -> None:
        """Send what is left."""
        closed_in_time(self._provider.shutdown)

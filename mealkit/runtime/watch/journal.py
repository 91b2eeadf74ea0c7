"""Writes log lines: one JSON object per line on stderr. Bodies are never logged."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Journal:
    """Writes the log lines of one level and above."""

    def __init__(self, level: str, stream: TextIO | None = None) -> None:
        self._least = _LEVELS[level]
        self._stream = stream or sys.stderr

    def debug(self, event: str, **fields: Any) -> None:
        """Write an event that helps only to find a fault."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write a normal event."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write an event that may become a problem."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write a failure."""
        self._write("error", event, fields)

    def final(self, content: dict[str, Any]) -> None:
        """Write the problem that ends the process as it is, at any level."""
        self._put(content)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if _LEVELS[level] >= self._least:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._put({"time": now, "level": level, "event": event, **fields})

    def _put(self, content: dict[str, Any]) -> None:
        try:
            self._stream.write(json.dumps(content) + "\n")
            self._stream.flush()
        except OSError:
            # The reader of the log has closed the pipe; the kit continues.
            return

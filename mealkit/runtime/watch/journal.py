"""Log lines: one JSON object per line on stderr. A body is never logged."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Journal:
    """Writes log lines of at least one level."""

    def __init__(self, level: str, stream: TextIO | None = None) -> None:
        self._least = _LEVELS[level]
        self._stream = stream or sys.stderr

    def debug(self, event: str, **fields: Any) -> None:
        """Write what only someone who looks for a fault wants to know."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write what happened."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write what may become a problem."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        """Write what went wrong."""
        self._write("error", event, fields)

    def final(self, content: dict[str, Any]) -> None:
        """Write a line of its own form, at any level: the problem that ends the process."""
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
            # The reader of the log has gone; the kit goes on.
            return

"""What libraries log, as lines of the journal. Refuses what is less than a warning."""

import logging

from mealkit.runtime.watch.journal import Journal


class LogHandler(logging.Handler):
    """Turns what libraries log into lines of the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(logging.WARNING)
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, with its traceback."""
        trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else None
        extra = {"trace": trace} if trace else {}
        write = self._journal.error if record.levelno >= logging.ERROR else self._journal.warning
        write("log", logger=record.name, message=record.getMessage(), **extra)

"""Reads the usage of kits: of a file, of a kit that runs or ran here, or of a PostgreSQL database.

Raises DeploymentError (``USAGE_UNREADABLE``) for what is not a database of usage. A file may be of
others: it is opened for reading only, and each row is checked.
"""

import csv
import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from mealkit.errors import MealkitError, failure
from mealkit.ledger.usage_sqlite import USAGE_NAME
from mealkit.ledger.usage_summary import READ_USAGE, By, UsageRow, UsageSum
from mealkit.pipeline.home import Home
from mealkit.pipeline.run.kept_records import records_of

_POSTGRESQL = ("postgresql://", "postgres://")
_MOST_ROWS = 2_000_000
# A spreadsheet takes a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = (
    "currency",
    "requests",
    "input_tokens",
    "output_tokens",
    "cost",
    "engine_seconds",
)


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a report, the last one included; None: from the beginning, or to the end."""

    since: date | None = None
    until: date | None = None

    @property
    def seconds(self) -> tuple[int, int]:
        """The beginning and the end, in seconds of Unix time."""
        since = _midnight(self.since) if self.since else 0
        until = _midnight(self.until + timedelta(days=1)) if self.until else 2**40
        return since, until


def read_usage(targets: Sequence[str], days: Days, home: Home) -> list[UsageRow]:
    """Return the usage of all targets; without targets, that of every kit that ran here.

    Raises:
        DeploymentError: ``USAGE_UNREADABLE``.
    """
    if not targets:
        found = sorted(home.records.glob(f"*/{USAGE_NAME}"))
        return [row for path in found for row in _rows_of_file(path, days)]
    return [row for target in targets for row in _rows(target, days, home)]


def usage_csv(sums: Sequence[UsageSum], by: Sequence[By]) -> str:
    """Return sums as CSV; no cell is a formula for a spreadsheet."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*by, *_COLUMNS])
    for item in sums:
        used = item.used
        numbers = (used.requests, used.input_tokens, used.output_tokens)
        cells = [*item.parts, item.currency, *numbers, item.cost, item.engine_seconds]
        writer.writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return written.getvalue()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) and cell != "-" else cell


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def _rows(target: str, days: Days, home: Home) -> Iterator[UsageRow]:
    if target.startswith(_POSTGRESQL):
        return _rows_of_postgresql(target, days)
    path = Path(target)
    if path.is_file():
        return _rows_of_file(path, days)
    if (path / USAGE_NAME).is_file():
        return _rows_of_file(path / USAGE_NAME, days)
    kept = records_of(target, home) / USAGE_NAME
    if not kept.is_file():
        raise failure(
            "USAGE_UNREADABLE",
            f"{target} is neither a file of usage nor a kit with prices or budgets that ran here",
            where=target,
        )
    return _rows_of_file(kept, days)


def _rows_of_file(path: Path, days: Days) -> Iterator[UsageRow]:
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            found = connection.execute(READ_USAGE, days.seconds).fetchmany(_MOST_ROWS)
        yield from map(UsageRow.of, found)
    except (sqlite3.Error, ValueError, OverflowError) as error:
        raise _unreadable(str(path), str(error)) from error


def _rows_of_postgresql(address: str, days: Days) -> Iterator[UsageRow]:
    try:
        import psycopg
    except ImportError as error:
        hint = "pip install 'mealkit[postgresql]'"
        message = "the client of PostgreSQL is not installed"
        raise failure("USAGE_UNREADABLE", message, hint=hint) from error
    try:
        with psycopg.connect(address, connect_timeout=10) as connection:
            statement = READ_USAGE.replace("?", "%s")
            found = connection.execute(statement, days.seconds).fetchmany(_MOST_ROWS)
        yield from map(UsageRow.of, found)
    except (psycopg.Error, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _unreadable("the database", reason) from error


def _unreadable(what: str, reason: str) -> MealkitError:
    return failure(
        "USAGE_UNREADABLE", f"{what} has no usage that can be read: {reason}", where=what
    )

"""The tables of usage and budgets, and what a database must do for them.

The SQL is what SQLite and PostgreSQL have in common. A reservation is one request at the engine,
and a balance one budget in one period. Usage is summed up for each hour, so it also answers for any
period of a budget that is added later.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

Row = tuple[Any, ...]

TABLES = (
    """CREATE TABLE IF NOT EXISTS mealkit_usage (
        hour BIGINT NOT NULL, kit TEXT NOT NULL, key_name TEXT NOT NULL, currency TEXT NOT NULL,
        requests BIGINT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL,
        nano BIGINT NOT NULL, nanoseconds BIGINT NOT NULL,
        PRIMARY KEY (hour, kit, key_name, currency))""",
    """CREATE TABLE IF NOT EXISTS mealkit_balance (
        id {serial}, kit TEXT NOT NULL, budget TEXT NOT NULL, owner TEXT NOT NULL,
        period TEXT NOT NULL, start BIGINT NOT NULL, currency TEXT NOT NULL,
        nano BIGINT NOT NULL, tokens BIGINT NOT NULL,
        reserved_nano BIGINT NOT NULL, reserved_tokens BIGINT NOT NULL,
        UNIQUE (kit, budget, owner, period, start, currency))""",
    """CREATE TABLE IF NOT EXISTS mealkit_reservation (
        process TEXT NOT NULL, number BIGINT NOT NULL, hour BIGINT NOT NULL, kit TEXT NOT NULL,
        key_name TEXT NOT NULL, currency TEXT NOT NULL, nano BIGINT NOT NULL,
        tokens BIGINT NOT NULL, balances TEXT NOT NULL,
        PRIMARY KEY (process, number))""",
    """CREATE TABLE IF NOT EXISTS mealkit_process (
        id TEXT PRIMARY KEY, beat DOUBLE PRECISION NOT NULL, batch BIGINT NOT NULL)""",
)
"""``{serial}`` is the database's form of a number that it counts itself."""


class DatabaseError(Exception):
    """The database cannot be used; the message says why, without its address or password."""


class UsageDatabase(Protocol):
    """A connection to the tables, used by one thread."""

    process: str
    """The name under which this process reserves; another one after it was taken for dead."""
    lock_rows: str
    """What a SELECT needs at its end to lock its rows."""

    def now(self) -> float:
        """Return the time in seconds of Unix time, by the clock that all processes share."""

    def transaction(self) -> AbstractContextManager[None]:
        """Begin a transaction that ends with the block: committed, or undone by an exception.

        Raises:
            DatabaseError: the database cannot be used; the transaction is undone.
        """

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement, whose values are written as ``?``."""

    def run(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of many values, without reading rows."""

    def beat(self) -> None:
        """State that this process is alive.

        Raises:
            DatabaseError: the database cannot be used.
        """

    def dead(self) -> list[str]:
        """Return the processes that have died, and whose reservations are left.

        Raises:
            DatabaseError: the database cannot be used.
        """

    def bury(self, process: str) -> bool:
        """Forget a dead process, within a transaction; False if another process does so."""

    def close(self) -> None:
        """Close the connection, as a process that ends well."""

"""Usage and budgets in PostgreSQL, which the replicas of a kit share.

Rows of balances are locked in the order of their numbers, so two replicas never admit requests for
the same rest of a budget, and never wait for each other in a circle. Each transaction has a number:
if the connection is lost while one is committed, the number says afterwards whether it was. A
replica states every few seconds that it is alive, by the database's clock; its reservations are
booked by others if it does not.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mealkit.ledger.usage_database import TABLES, DatabaseError, Row

DEAD_SECONDS = 30.0
"""A replica that has not stated for so long that it is alive has died."""

_TIMEOUT_SECONDS = 5
# Any number that other programs do not use: replicas create the tables one after the other.
_TABLES_LOCK = 0x6D65616C6B6974
_OPTIONS = (
    f"-c statement_timeout={_TIMEOUT_SECONDS * 1000}"
    f" -c idle_in_transaction_session_timeout={_TIMEOUT_SECONDS * 1000}"
    " -c default_transaction_isolation=read\\ committed"
)
_NO_ADDRESS = (
    "the address of the usage database is not valid; special characters in its password are"
    " written as %XX"
)
_DEFAULTS = {
    "connect_timeout": str(_TIMEOUT_SECONDS),
    "tcp_user_timeout": str(_TIMEOUT_SECONDS * 1000),
    "application_name": "mealkit",
}


class PostgresqlUsage:
    """A connection to a database, opened again when it is lost."""

    lock_rows = "FOR UPDATE"

    def __init__(self, address: str) -> None:
        """Connect, and create the tables if necessary.

        Raises:
            DatabaseError: the database cannot be used.
        """
        try:
            stated = conninfo_to_dict(address)
        except psycopg.Error as error:
            # Without its message, which quotes what it does not understand: perhaps the password.
            raise DatabaseError(_NO_ADDRESS) from error
        with _as_database_errors():
            options = " ".join(filter(None, (str(stated.pop("options", "")), _OPTIONS)))
            self._address = make_conninfo("", **{**_DEFAULTS, **stated, "options": options})
        self._connection: psycopg.Connection[Row] | None = None
        self.process = ""
        self._batch = 0
        self._clock = 0.0
        self._statements: dict[str, str] = {}
        self._connect()

    def now(self) -> float:
        """Return the time of the database, which was compared with this machine's when it beat."""
        return self._clock + time.monotonic()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Begin a transaction, on a new connection if the last one was lost.

        Raises:
            DatabaseError: nothing has changed; or it is not known yet whether something has, and
                the next call finds out.
        """
        self._connected()
        with _as_database_errors():
            try:
                self.rows("BEGIN")
                yield
                self._count()
            except BaseException:
                self._undo()
                raise
        self._commit()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement."""
        cursor = self._open().execute(self._translated(statement), values)
        return cursor.fetchall() if cursor.description else []

    def run(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of many values, in one round trip."""
        with self._open().cursor() as cursor:
            cursor.executemany(self._translated(statement), many)

    def beat(self) -> None:
        """State that this process is alive, and read the database's clock."""
        with self.transaction():
            self._read_clock()

    def dead(self) -> list[str]:
        """Return the replicas that have not stated for long that they are alive."""
        self._connected()
        with _as_database_errors():
            found = self.rows(
                "SELECT id FROM mealkit_process WHERE beat < ? AND id <> ?",
                (self.now() - DEAD_SECONDS, self.process),
            )
        return [row[0] for row in found]

    def bury(self, process: str) -> bool:
        """Delete a dead replica's row; False if it lives after all, or another one does so."""
        found = self.rows(
            "SELECT id FROM mealkit_process WHERE id = ? AND beat < ? FOR UPDATE SKIP LOCKED",
            (process, self.now() - DEAD_SECONDS),
        )
        if found:
            self.run("DELETE FROM mealkit_process WHERE id = ?", [(process,)])
        return bool(found)

    def close(self) -> None:
        """Close the connection; what is still reserved is booked by others."""
        with suppress(psycopg.Error, DatabaseError):
            self.rows(
                "DELETE FROM mealkit_process WHERE id = ? AND NOT EXISTS"
                " (SELECT 1 FROM mealkit_reservation WHERE process = ?)",
                (self.process, self.process),
            )
        self._drop()

    def _count(self) -> None:
        """Give this transaction its number; the row also shows that this process is alive."""
        found = self.rows(
            "UPDATE mealkit_process SET batch = ?, beat = ? WHERE id = ? RETURNING id",
            (self._batch + 1, self.now(), self.process),
        )
        if not found:
            # Others took it for dead, and have booked its reservations.
            self.process = ""
            raise DatabaseError("this replica was taken for dead; it begins again")

    def _commit(self) -> None:
        self._batch += 1
        try:
            self._open().execute("COMMIT")
        except psycopg.Error as error:
            self._drop()
            if not self._was_committed():
                self._batch -= 1
                raise DatabaseError(_reason(error)) from error

    def _was_committed(self) -> bool:
        """Find out whether the last transaction was committed; wait until the database knows."""
        while True:
            try:
                self._connection = psycopg.connect(self._address, autocommit=True)
                found = self.rows("SELECT batch FROM mealkit_process WHERE id = ?", (self.process,))
            except psycopg.Error:
                self._drop()
                time.sleep(_AGAIN_SECONDS)
            else:
                return bool(found and found[0][0] == self._batch)

    def _connected(self) -> None:
        if self._connection is None or self._connection.closed or not self.process:
            self._connect()

    def _connect(self) -> None:
        self._drop()
        with _as_database_errors():
            self._connection = psycopg.connect(self._address, autocommit=True)
            self._create_tables()
            self._read_clock()
            if not self.process:
                self.process, self._batch = os.urandom(8).hex(), 0
                self.run(
                    "INSERT INTO mealkit_process VALUES (?, ?, 0)", [(self.process, self.now())]
                )

    def _create_tables(self) -> None:
        # A user without the right to create tables may use those that are there.
        names = ("mealkit_usage", "mealkit_balance", "mealkit_reservation", "mealkit_process")
        exist = ", ".join("to_regclass(?)" for _ in names)
        if None not in self.rows(f"SELECT {exist}", names)[0]:
            return
        with self._open().transaction():
            self.rows("SELECT pg_advisory_xact_lock(?)", (_TABLES_LOCK,))
            for table in TABLES:
                serial = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
                self.rows(table.replace("{serial}", serial))

    def _read_clock(self) -> None:
        before = time.monotonic()
        ((seconds,),) = self.rows("SELECT EXTRACT(EPOCH FROM clock_timestamp())::float8")
        self._clock = seconds - (before + time.monotonic()) / 2

    def _open(self) -> "psycopg.Connection[Row]":
        if self._connection is None:
            raise DatabaseError("the connection is lost")
        return self._connection

    def _undo(self) -> None:
        try:
            if self._connection is not None and not self._connection.closed:
                self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self._drop()

    def _drop(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _translated(self, statement: str) -> str:
        found = self._statements.get(statement)
        if found is None:
            found = self._statements[statement] = statement.replace("?", "%s")
        return found


_AGAIN_SECONDS = 0.2


def _reason(error: Exception) -> str:
    """Return the first line of an error; libpq's messages have no passwords."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _as_database_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise DatabaseError(f"the usage database cannot be used: {_reason(error)}") from error

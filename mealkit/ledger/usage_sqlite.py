"""Usage and budgets in a file of SQLite, which the processes of one machine may share.

A process is alive as long as it has locked its file next to the database: the kernel unlocks it
when the process ends, however it ends. What was committed survives the end of any process; a power
cut may lose the last seconds, because the disk is only waited for when this process shows that it
is alive. To wait for it at each commit would take three times the processor time.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from mealkit.ledger.usage_database import TABLES, DatabaseError, Row

USAGE_NAME = "usage.sqlite"
"""The name of the database in the state folder."""

# The version of the tables, in the file's header.
_VERSION = 1
_BUSY_SECONDS = 5.0


class SqliteUsage:
    """A connection to a file of usage."""

    lock_rows = ""

    def __init__(self, path: Path) -> None:
        """Open a file, and create it if necessary.

        Raises:
            DatabaseError: it cannot be used.
        """
        self._path = path
        self.process = os.urandom(8).hex()
        with _as_database_errors():
            self._alive = os.open(
                self._sign_of(self.process), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
            # The caller opens it again and again until it works, so nothing may be left open.
            with ExitStack() as undoing:
                undoing.callback(os.close, self._alive)
                undoing.callback(self._sign_of(self.process).unlink, missing_ok=True)
                fcntl.flock(self._alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._connection = undoing.enter_context(closing(self._connected()))
                self._prepare()
                undoing.pop_all()

    def _connected(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        (version,) = run("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise DatabaseError(f"{self._path} was written by a newer mealkit")
        if version < _VERSION:
            with self.transaction():
                for table in TABLES:
                    run(table.replace("{serial}", "INTEGER PRIMARY KEY"))
                run(f"PRAGMA user_version = {_VERSION}")

    def now(self) -> float:
        """Return the time of the machine."""
        return time.time()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Lock the database for writing, until the end of the block."""
        with _as_database_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a statement."""
        return self._connection.execute(statement, values).fetchall()

    def run(self, statement: str, many: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of many values."""
        self._connection.executemany(statement, many)

    def beat(self) -> None:
        """Wait until the disk has what was committed; the locked file shows that this lives."""
        with _as_database_errors():
            self.rows("PRAGMA wal_checkpoint(PASSIVE)")

    def dead(self) -> list[str]:
        """Return the processes with reservations, and those with a sign, that have died."""
        with _as_database_errors():
            found = self.rows("SELECT DISTINCT process FROM mealkit_reservation")
            signs = self._path.parent.glob(f"{self._path.name}-*.alive")
            names = {row[0] for row in found} | {_process_of(path) for path in signs}
            return sorted(name for name in names - {self.process} if not self._is_alive(name))

    def bury(self, process: str) -> bool:
        """Remove a process's sign; True, because the transaction has locked the database."""
        self._sign_of(process).unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Close the file; this process needs no sign any more if it has no reservations."""
        with suppress(sqlite3.Error, OSError):
            left = self.rows(
                "SELECT 1 FROM mealkit_reservation WHERE process = ? LIMIT 1", (self.process,)
            )
            self._connection.close()
            if not left:
                self._sign_of(self.process).unlink(missing_ok=True)
        os.close(self._alive)

    def _sign_of(self, process: str) -> Path:
        return self._path.with_name(f"{self._path.name}-{Path(process).name}.alive")

    def _is_alive(self, process: str) -> bool:
        try:
            descriptor = os.open(self._sign_of(process), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


def _process_of(sign: Path) -> str:
    return sign.stem.rpartition("-")[2]


@contextmanager
def _as_database_errors() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise DatabaseError(f"the usage file cannot be used: {error}") from error

"""A real PostgreSQL server on a Unix socket, as a user that is not root."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

_USERS = ("postgres", "nobody")


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed")
    return found[-1].parent


class Server:
    """One cluster of databases, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._programs = _programs()
        self.folder = folder
        self._user = _user() if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self.address = f"postgresql://mealkit@/postgres?host={folder}"
        self._run(
            "initdb", "--no-sync", "--auth=trust", "--username=mealkit", "--no-instructions",
            "--encoding=UTF8", "--no-locale", str(folder / "data"),
        )  # fmt: skip

    def start(self) -> None:
        options = f"-k {self.folder} -h '' -c fsync=on -c max_connections=50"
        self._control("start", "-w", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-w", "-m", mode)

    def backends(self) -> list[int]:
        """Return the processes that serve mealkit's connections."""
        with psycopg.connect(self.address) as connection:
            rows = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'mealkit'"
            )
            return [row[0] for row in rows]

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        done = subprocess.run(
            command, user=self._user, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _user() -> str:
    for name in _USERS:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("the machine has neither a user postgres nor nobody")


@contextmanager
def served() -> Iterator[Server]:
    """Start a server; stop it afterwards."""
    # Not tmp_path: a Unix socket's path may have 107 bytes, and other users must reach it.
    with tempfile.TemporaryDirectory(prefix="mkpg") as folder:
        Path(folder).chmod(0o755)
        server = Server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")

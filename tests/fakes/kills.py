"""Kills processes at random points of their work, in a few milliseconds each.

A `Nursery` is a process that has imported everything once. For each run it forks a child, which
counts *moments*: what Python does to files and sockets (its audit events), and each time the work
reports progress. A child that is to die kills itself with SIGKILL at one moment, whichever thread
comes to it. So nothing is patched, and nothing in the code under test knows of it.

A piece of work is a function of a module (``"fakes.transfers:pull_kit"``) that takes ``tick``, to
be called with each progress, and texts. It is named, not given, because another process calls it.
"""

import gc
import importlib
import itertools
import json
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_EVENTS = ("open", "os.", "fcntl.", "socket.", "shutil.", "tempfile.")
_TESTS = Path(__file__).parents[1]
_END = "-----END CERTIFICATE-----\n"


@dataclass(frozen=True, slots=True)
class End:
    """How a child ended: killed, or after that many moments; with its traceback if it failed."""

    killed: bool
    moments: int
    error: str


class Nursery:
    """Runs pieces of work in forked processes, one at a time; open it with ``nursery``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, work: str, *arguments: object, die_at: int | None = None) -> End:
        """Run to the end, or until the moment ``die_at`` (from 1)."""
        assert self._process.stdin
        assert self._process.stdout
        order = {"work": work, "arguments": [str(item) for item in arguments], "die_at": die_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return End(**json.loads(self._process.stdout.readline()))

    def finish(self, work: str, *arguments: object) -> int:
        """Run to the end, which must be a good one; return the number of its moments."""
        end = self.run(work, *arguments)
        assert not end.error, end.error
        assert not end.killed
        return end.moments


@contextmanager
def nursery(folder: Path, *modules: str) -> Iterator[Nursery]:
    """Start a process that has imported these modules; ``folder`` is for a file of its own."""
    paths = [str(_TESTS), str(_TESTS.parent)]
    # Reading all of the system's authorities would take longer than the work.
    authorities = Path(ssl.get_default_verify_paths().cafile or "").read_text()
    authority = folder / "authority.pem"
    authority.write_text(authorities[: authorities.index(_END) + len(_END)])
    process = subprocess.Popen(
        [sys.executable, "-c", f"from fakes.kills import _serve; _serve({modules!r})"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "SSL_CERT_FILE": str(authority),
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Nursery(process)
    finally:
        process.communicate()


def points(moments: int, count: int, seed: int) -> Sequence[int]:
    """Choose moments to die at, in random order; the same ones each time."""
    chosen = random.Random(seed)
    return [chosen.randint(1, moments) for _ in range(count)]


def _serve(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            _work(writer, **order)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as stream:
            said = stream.read()
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        report = {"moments": 0, "error": ""} if killed else json.loads(said)
        sys.stdout.write(json.dumps({"killed": killed, **report}) + "\n")
        sys.stdout.flush()


def _work(writer: int, work: str, arguments: list[str], die_at: int | None) -> None:
    """Do the work in this process, and end the process."""
    error, tick = "", _counting(die_at)
    try:
        module, _, name = work.partition(":")
        getattr(importlib.import_module(module), name)(tick, *arguments)
    except BaseException as failed:  # noqa: BLE001  the parent reports it
        import traceback  # noqa: PLC0415

        error = "".join(traceback.format_exception(failed))
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        json.dump({"moments": tick(0), "error": error}, stream)
    os._exit(0)


def _counting(die_at: int | None) -> Callable[[int], int]:
    """Begin to count; return a function that counts one moment more, or none for 0."""
    counter = itertools.count(1)
    last, lock = [0], threading.Lock()

    def tick(more: int = 1) -> int:
        if more:
            with lock:
                last[0] = next(counter)
            if last[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return last[0]

    def heard(event: str, _: object) -> None:
        if event.startswith(_EVENTS) and event != "os.kill":
            tick()

    sys.addaudithook(heard)
    return tick

"""Writes the audit log: chained lines, in files of bounded size, on the disk within a moment.

A line has reached the system when ``write`` returns, so a killed process loses none. A thread
writes to the disk four times a second, so a power cut loses the lines of that time. If the disk is
full, lines wait in memory, or are counted as missing.
"""

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mealkit.auditlog.audit_key import AuditKey, CodeState
from mealkit.auditlog.audit_line import (
    MAX_LINE_BYTES,
    NO_CODE,
    Torn,
    encoded,
    parsed,
    tail_of,
    unsigned,
)
from mealkit.auditlog.chain_folder import chain_files, file_at, free_chains, number_of, sync_folder
from mealkit.auditlog.chain_reader import Fault
from mealkit.auditlog.checkpoint import Checkpoint
from mealkit.auditlog.resuming import Resumption, resumption_of

FORMAT = 1

RESERVE_BYTES = 1024 * 1024
"""The size of a file that is deleted when the disk is full, so that the lines of requests that are
answered already have room."""

_RESERVE = "reserve"
_HELD_BYTES = 8 * 1024 * 1024
_RETRY_SECONDS = 1.0
# The most that a line has besides its fields.
_FRAME_BYTES = 160


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a log is written."""

    stops: bool
    """Whether lines that cannot be written wait, because requests are refused meanwhile."""
    max_file_bytes: int
    max_files: int
    sync_seconds: float = 0.25
    """The longest time until a line is on the disk."""
    checkpoint_seconds: float = 60.0
    checkpoint_lines: int = 10_000


class LogListener:
    """What a log reports; the calls may come from another thread."""

    def line(self, number: int, line: bytes) -> None:
        """Pass a line on that was written."""

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Pass a checkpoint on."""

    def failed(self, reason: str, where: str) -> None:
        """Note that no line can be written."""

    def recovered(self) -> None:
        """Note that lines can be written again."""

    def lost(self, count: int) -> None:
        """Count lines that are missing for good."""

    def not_continued(self, fault: Fault) -> None:
        """Note that an earlier chain has a fault, so that a new one begins."""


class AuditLog:
    """One chain that this process writes."""

    def __init__(
        self,
        folder: Path,
        keys: tuple[AuditKey, ...],
        facts: Mapping[str, str],
        settings: LogSettings,
        listener: LogListener,
    ) -> None:
        """Continue a chain in the folder, or begin one; the first of the keys is the current one.

        Raises:
            OSError: the folder cannot be written to.
        """
        self._settings = settings
        self._listener = listener
        self._facts = facts
        self._key = keys[0]
        self._state: CodeState = self._key.state()
        self._guard = threading.Lock()
        self._file = -1
        self._size_bytes = 0
        self._number, self._code = 0, NO_CODE
        self._held: deque[tuple[str, bytes]] = deque()
        self._held_bytes = self._lost = 0
        self._failed = False
        self._retired: list[int] = []
        self._is_dirty, self._pause = threading.Event(), threading.Event()
        self._is_closing = False
        # A checkpoint at the start, too: a chain that was begun again is noticed by it.
        self._marked, self._marked_seconds = 0, -settings.checkpoint_seconds
        self.chain = ""
        """The chain's id."""
        self.folder, self._lock, found = _usable_chain(folder, keys, listener)
        self._begin(found)
        if settings.stops:
            self._reserve()
        self._is_dirty.set()
        self._syncing = threading.Thread(target=self._sync_often, name="audit log", daemon=True)
        self._syncing.start()

    @property
    def is_failed(self) -> bool:
        """Whether lines cannot be written at the moment."""
        return self._failed

    @property
    def number(self) -> int:
        """The number of the last line."""
        return self._number

    def write(self, kind: str, fields: bytes, *, may_wait: bool = True) -> int:
        """Write a line; return its number, or 0 if it could not be written.

        Then it waits if it ``may_wait`` and the settings say so; otherwise it is missing.
        """
        with self._guard:
            if not self._failed:
                try:
                    self._make_room(len(fields))
                    self._put(kind, fields)
                except OSError as error:
                    self._fail(error)
                else:
                    number = self._number
                    if not self._is_dirty.is_set():
                        self._is_dirty.set()
                    return number
            if may_wait:
                self._hold(kind, fields)
        return 0

    def close(self) -> None:
        """Write the last line, wait until all are on the disk, and free the chain."""
        with self._guard:
            self._is_closing = True
            if self._failed:
                self._try_again()
            if not self._failed:
                with suppress(OSError):
                    self._put("end", encoded({"time": _now()}))
        self._is_dirty.set()
        self._pause.set()
        self._syncing.join()
        for descriptor in (self._file, self._lock):
            os.close(descriptor)

    # Below: with the guard, or before the thread runs.

    def _begin(self, found: Resumption | None) -> None:
        if found is None:
            self.chain = os.urandom(16).hex()
            self._open_next(1)
            return
        self.chain = found.chain
        self._number, self._code = found.number, found.code
        self._size_bytes = found.size_bytes
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(found.file, flags)
        self._state = found.key.state()
        torn = found.torn or Torn.of(b"")
        fields = {
            "time": _now(),
            "torn_bytes": torn.size_bytes,
            "torn_sha256": torn.sha256,
            **self._facts,
        }
        ends = b"" if found.ends_line else b"\n"
        self._put("resumed", encoded(fields), before=ends)
        if found.key.id != self._key.id:
            self._put("new_key", encoded({"time": _now(), "key": self._key.id}))
            self._state = self._key.state()
            self._open_next(number_of(found.file) + 1)

    def _make_room(self, more_bytes: int) -> None:
        """Begin a new file if a line does not fit into this one."""
        if self._size_bytes + more_bytes + _FRAME_BYTES <= self._settings.max_file_bytes:
            return
        files = chain_files(self.folder)
        self._open_next(number_of(files[-1]) + 1)
        files = chain_files(self.folder)
        surplus = files[: max(len(files) - self._settings.max_files, 0)]
        if surplus:
            kept = files[len(surplus)]
            through = _first_number(kept) - 1
            names = [path.name for path in surplus]
            fields = {"time": _now(), "through": through, "files": names}
            self._put("deleted", encoded(fields))
        for path in surplus:
            path.unlink()
        self._is_dirty.set()

    def _open_next(self, file: int) -> None:
        """Begin a file; it is complete with its head, or it does not exist."""
        path = file_at(self.folder, file)
        partial = path.with_suffix(".part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        head = {
            "time": _now(),
            "format": FORMAT,
            "chain": self.chain,
            "file": file,
            "key": self._key.id,
            "previous": self._code.hex(),
            **self._facts,
        }
        before = (self._file, self._size_bytes, self._number, self._code)
        self._file, self._size_bytes = os.open(partial, flags, 0o600), 0
        try:
            self._put("head", encoded(head))
            os.fsync(self._file)
            partial.rename(path)
            sync_folder(self.folder)
        except OSError:
            os.close(self._file)
            self._file, self._size_bytes, self._number, self._code = before
            raise
        if before[0] >= 0:
            self._retired.append(before[0])

    def _put(self, kind: str, fields: bytes, before: bytes = b"") -> None:
        """Append a line.

        Raises:
            OSError: it cannot be written; the file is as it was.
        """
        number = self._number + 1
        body = unsigned(kind, number, fields)
        code = self._state.code(self._code, body)
        line = b"%b%b%b\n" % (before, body, tail_of(code))
        self._append(line)
        self._size_bytes += len(line)
        self._number, self._code = number, code
        self._listener.line(number, line)

    def _append(self, line: bytes) -> None:
        reason = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        while True:
            try:
                written = os.write(self._file, line)
            except OSError as error:
                written, reason = 0, error
            if written == len(line):
                return
            if written:
                os.ftruncate(self._file, self._size_bytes)
            if not self._release():
                raise reason

    def _hold(self, kind: str, fields: bytes) -> None:
        """Keep a line until it can be written, or count it as missing."""
        if self._settings.stops and self._held_bytes + len(fields) <= _HELD_BYTES:
            self._held.append((kind, fields))
            self._held_bytes += len(fields)
            return
        self._lost += 1
        self._listener.lost(1)

    def _fail(self, error: OSError) -> None:
        if not self._failed:
            self._failed = True
            self._listener.failed(error.strerror or str(error), str(self.folder))
        self._is_dirty.set()

    def _try_again(self) -> None:
        """Write what has waited; go on as before if that works."""
        try:
            if self._settings.stops:
                self._reserve()
            while self._held:
                kind, fields = self._held[0]
                self._make_room(len(fields))
                self._put(kind, fields)
                self._held.popleft()
            self._held_bytes = 0
            if self._lost:
                self._put("missing", encoded({"time": _now(), "count": self._lost}))
            os.fsync(self._file)
        except OSError:
            return
        self._lost = 0
        self._failed = False
        self._listener.recovered()

    def _reserve(self) -> None:
        path = self.folder / _RESERVE
        if path.exists():
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        partial = path.with_suffix(".part")
        descriptor = os.open(partial, flags, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, RESERVE_BYTES)
            os.fsync(descriptor)
        except OSError:
            partial.unlink()
            raise
        finally:
            os.close(descriptor)
        partial.rename(path)

    def _release(self) -> bool:
        """Give up the reserve; return whether there was one."""
        try:
            (self.folder / _RESERVE).unlink()
        except OSError:
            return False
        # From now on requests are refused, and those that are answered already have room.
        self._fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        return True

    # Below: the thread.

    def _sync_often(self) -> None:
        while not self._is_closing:
            self._is_dirty.wait(
                _RETRY_SECONDS if self._failed else self._settings.checkpoint_seconds
            )
            self._sync()
            if self._failed and not self._is_closing:
                with self._guard:
                    self._try_again()
            self._pause.wait(_RETRY_SECONDS if self._failed else self._settings.sync_seconds)
        self._sync()

    def _sync(self) -> None:
        """Write to the disk, and pass a checkpoint on if it is time."""
        self._is_dirty.clear()
        with self._guard:
            retired, self._retired = self._retired, []
            current, number, code, key = self._file, self._number, self._code, self._key
        try:
            for descriptor in retired:
                os.fsync(descriptor)
                os.close(descriptor)
            os.fsync(current)
        except OSError as error:
            with self._guard:
                self._fail(error)
            return
        now = time.monotonic()
        is_time = now - self._marked_seconds >= self._settings.checkpoint_seconds
        is_far = number - self._marked >= self._settings.checkpoint_lines
        if number > self._marked and (is_time or is_far or retired or self._is_closing):
            self._marked, self._marked_seconds = number, now
            found = Checkpoint(self.chain, number, code.hex(), key.id, _now())
            self._listener.checkpoint(found.sealed(key))


def _usable_chain(
    folder: Path, keys: tuple[AuditKey, ...], listener: LogListener
) -> tuple[Path, int, Resumption | None]:
    """Lock the first chain that can be continued, or a new one."""
    for chain, lock in free_chains(folder):
        found = resumption_of(chain, keys)
        if not isinstance(found, Fault):
            return chain, lock, found
        listener.not_continued(found)
        os.close(lock)
    raise OSError(errno.EMLINK, "the folder has too many chains", str(folder))


def _first_number(path: Path) -> int:
    with path.open("rb") as stream:
        head = parsed(stream.readline(MAX_LINE_BYTES)[:-1])
    return head["n"] if head else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")

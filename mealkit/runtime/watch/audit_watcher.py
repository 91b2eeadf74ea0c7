"""Writes a line of the audit log for each request, except probes of health and metrics.

A request that cannot be recorded is refused with AUDIT_UNWRITABLE, if the kit says so.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.types import Scope

from mealkit.auditlog.audit_key import AuditKey, created_audit_key, read_audit_keys
from mealkit.auditlog.audit_line import encoded
from mealkit.auditlog.audit_log import AuditLog, LogListener, LogSettings
from mealkit.auditlog.audit_record import BEGUN, REQUEST, AuditRecord, BegunRequest
from mealkit.auditlog.chain_folder import AUDIT_FOLDER, KEY_NAME
from mealkit.auditlog.chain_reader import Fault
from mealkit.auditlog.checkpoint import EVENT, Checkpoint
from mealkit.errors import Problem, failure, problem
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Audit, WhenFull
from mealkit.runtime.exchanges import Exchange
from mealkit.runtime.settings import Settings
from mealkit.runtime.urls import LIVE_PATHS, METRICS_PATH, READY_PATHS
from mealkit.runtime.watch.journal import Journal
from mealkit.units import parse_size

_UNRECORDED = frozenset({*LIVE_PATHS, *READY_PATHS, METRICS_PATH})
_PATH_CHARACTERS = 200
_TEXT_BYTES = 1024 * 1024


class AuditWatcher:
    """The audit log of one container."""

    def __init__(self, log: AuditLog, facts: bytes, stated: Audit) -> None:
        """Write to a log; ``facts`` are encoded fields for every line."""
        self._log = log
        self._facts = facts
        self._texts = stated.texts
        self._stops = stated.when_full is WhenFull.STOP

    def arrived(self, exchange: Exchange, scope: Scope) -> None:
        """Begin to hash the bodies of a request."""
        if scope["path"] not in _UNRECORDED:
            time = _time(exchange.began_unix_seconds)
            exchange.tap = _Bodies(time, _TEXT_BYTES if self._texts else 0)

    async def admit(self, exchange: Exchange) -> None:
        """Record that the engine is about to get a request.

        Raises:
            AuditError: ``AUDIT_UNWRITABLE``, it cannot be recorded, so it is not answered.
        """
        bodies = exchange.tap
        if not isinstance(bodies, _Bodies):
            return
        begun = BegunRequest(
            time=bodies.time,
            id=exchange.request_id,
            key=exchange.caller,
            path=exchange.path[:_PATH_CHARACTERS],
            prompt=exchange.asked.prompt if exchange.asked else "",
            input_sha256=bodies.input_sha256,
        )
        bodies.begun = self._log.write(BEGUN, begun.encoded(), may_wait=False)
        if not bodies.begun and self._stops:
            raise failure("AUDIT_UNWRITABLE", "the request cannot be recorded in the audit log")

    def ended(self, exchange: Exchange) -> None:
        """Record a request and its answer."""
        bodies = exchange.tap
        if isinstance(bodies, _Bodies):
            self._log.write(REQUEST, _record(exchange, bodies).encoded(self._facts))

    def close(self) -> None:
        """Write what is left, and mark the end."""
        self._log.close()


class _Bodies:
    """The digests of the bodies of one exchange, and their texts if they are recorded."""

    __slots__ = (
        "_input",
        "_limit_bytes",
        "_output",
        "_output_bytes",
        "_sum",
        "begun",
        "input_sha256",
        "time",
    )

    def __init__(self, time: str, limit_bytes: int) -> None:
        self.time = time
        self.input_sha256 = ""
        self._sum = sha256()
        self.begun = 0
        self._limit_bytes = limit_bytes
        self._input = b""
        self._output: list[bytes] = []
        self._output_bytes = 0

    def took(self, body: bytes) -> None:
        self.input_sha256 = sha256(body).hexdigest()
        self._input = body[: self._limit_bytes]

    def sent(self, piece: bytes) -> None:
        self._sum.update(piece)
        if self._output_bytes < self._limit_bytes:
            self._output.append(piece[: self._limit_bytes - self._output_bytes])
            self._output_bytes += len(piece)

    def output_sha256(self) -> str:
        return self._sum.hexdigest()

    def texts(self, exchange: Exchange) -> dict[str, Any] | None:
        if not self._limit_bytes:
            return None
        longest = max(exchange.request_bytes, exchange.answer_bytes)
        return {
            "input": self._input.decode(errors="backslashreplace"),
            "output": b"".join(self._output).decode(errors="backslashreplace"),
            **({"cut_at_bytes": self._limit_bytes} if longest > self._limit_bytes else {}),
        }


def _record(exchange: Exchange, bodies: _Bodies) -> AuditRecord:
    fault, usage = exchange.problem, exchange.usage
    ended = exchange.ended_seconds or exchange.began_seconds
    return AuditRecord(
        begun=bodies.begun,
        time=bodies.time,
        id=exchange.request_id,
        key=exchange.caller,
        method=exchange.method[:_PATH_CHARACTERS],
        path=exchange.path[:_PATH_CHARACTERS],
        prompt=exchange.asked.prompt if exchange.asked else "",
        outcome=exchange.outcome.value,
        status=exchange.status,
        problem=fault.code if fault else "",
        owner=fault.owner.value if fault else "",
        request_bytes=exchange.request_bytes,
        answer_bytes=exchange.answer_bytes,
        prompt_tokens=usage.prompt_tokens if usage else None,
        answer_tokens=usage.completion_tokens if usage else None,
        cost=exchange.cost,
        input_sha256=bodies.input_sha256,
        output_sha256=bodies.output_sha256(),
        seconds=round(ended - exchange.began_seconds, 6),
        texts=bodies.texts(exchange),
    )


def _time(unix_seconds: float) -> str:
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class AuditOutlets:
    """Where the log reports to, besides the kit's own log."""

    count_lost: Callable[[float], None]
    """Counts lines that are missing."""
    block: Callable[[Problem | None], None]
    """Gets the reason to refuse requests, or None."""
    export: Callable[[int, bytes], None] | None
    """Gets each line that was written."""


class _Reports(LogListener):
    """Passes on what the log reports: to the kit's own log, its metrics and its readiness."""

    def __init__(self, stated: Audit, journal: Journal, outlets: AuditOutlets) -> None:
        self._stops = stated.when_full is WhenFull.STOP
        self._journal = journal
        self._outlets = outlets
        self._lost = 0

    def line(self, number: int, line: bytes) -> None:
        if self._outlets.export:
            self._outlets.export(number, line)

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._journal.info(EVENT, **checkpoint.as_json())

    def failed(self, reason: str, where: str) -> None:
        message = f"the audit log cannot be written: {reason}"
        fault = problem("AUDIT_UNWRITABLE", message, where=where)
        self._journal.error("audit log unwritable", stops=self._stops, **fault.as_json())
        if self._stops:
            self._outlets.block(fault)

    def recovered(self) -> None:
        lost, self._lost = self._lost, 0
        self._journal.warning("audit log writable again", missing_lines=lost)
        self._outlets.block(None)

    def lost(self, count: int) -> None:
        self._lost += count
        self._outlets.count_lost(count)

    def not_continued(self, fault: Fault) -> None:
        self._journal.error(
            "audit log not continued",
            code=fault.code,
            file=str(fault.path),
            line=fault.line,
            message=fault.message,
        )


def open_audit_log(
    lock: Lock, settings: Settings, stated: Audit, journal: Journal, outlets: AuditOutlets
) -> AuditWatcher:
    """Open the audit log of a kit.

    Raises:
        AuditError: ``AUDIT_KEY``, ``AUDIT_UNWRITABLE``.
    """
    folder = settings.records / AUDIT_FOLDER
    reports = _Reports(stated, journal, outlets)
    facts = {
        "kit": f"{lock.about.name}:{lock.about.version}",
        "recipe": str(lock.recipe),
        "image": str(settings.image_digest or ""),
    }
    log_settings = LogSettings(
        stops=stated.when_full is WhenFull.STOP,
        max_file_bytes=parse_size(stated.max_file),
        max_files=stated.max_files,
    )
    began = time.monotonic()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = _keys(settings, folder, journal)
        log = AuditLog(folder, keys, facts, log_settings, reports)
    except OSError as error:
        message = f"the audit log cannot be opened: {error.strerror or error}"
        raise failure("AUDIT_UNWRITABLE", message, where=str(error.filename or folder)) from error
    journal.info(
        "audit log",
        folder=str(log.folder),
        chain=log.chain,
        line=log.number,
        key=keys[0].id,
        seconds=round(time.monotonic() - began, 3),
    )
    further = encoded({"recipe": facts["recipe"], "image": facts["image"]})
    return AuditWatcher(log, further, stated)


def _keys(settings: Settings, folder: Path, journal: Journal) -> tuple[AuditKey, ...]:
    """Read the keys, or create one for this folder."""
    if settings.audit_key:
        return read_audit_keys(settings.audit_key)
    path = folder / KEY_NAME
    if not path.exists():
        key = created_audit_key(path)
        hint = "copy it to a safe place, or set MEALKIT_AUDIT_KEY_FILE to a secret of your own"
        journal.warning("audit key created", file=str(path), key=key.id, hint=hint)
    return read_audit_keys(path)

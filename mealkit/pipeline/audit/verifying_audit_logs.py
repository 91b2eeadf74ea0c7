"""Verifies audit logs: each line's code, each chain's order, and what checkpoints know of them.

Returns all chains with what is wrong with them. Without a key of the log, only the files that a
signed checkpoint covers are compared with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mealkit.auditlog.audit_key import AuditKey
from mealkit.auditlog.audit_line import parsed, text_field
from mealkit.auditlog.chain_reader import ChainCounts, ChainReader
from mealkit.auditlog.checkpoint import Checkpoint
from mealkit.auditlog.signed_checkpoint import SignedCheckpoint, covered_file
from mealkit.errors import Problem, failure, problem
from mealkit.pipeline.audit.audit_logs import FoundChain, GivenCheckpoints
from mealkit.progress import Advance, Progress

_HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class ChainReport:
    """What is known about one chain."""

    name: str
    files: tuple[Path, ...]
    chain: str = ""
    kit: str = ""
    key: str = ""
    """The id of the last key; empty if the lines' codes were not checked."""
    code: str = ""
    """The code of the last line."""
    counts: ChainCounts = field(default_factory=ChainCounts)
    checkpoint: Checkpoint | None = None
    """The last checkpoint that agrees with the chain."""
    problems: list[Problem] = field(default_factory=list)
    good_bytes: dict[Path, int] = field(default_factory=dict)
    """How much of each file was verified."""

    @property
    def end(self) -> str:
        """What is known about the end of the chain."""
        if not self.key:
            return "not known without a key of the log"
        if self.counts.is_ended:
            return "the kit was stopped"
        if self.counts.half_line_bytes:
            return "half a line: the kit runs, or was killed"
        return "no mark of an end: the kit runs, was killed, or later lines were removed"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        counts = self.counts
        return {
            "name": self.name,
            "chain": self.chain,
            "kit": self.kit,
            "key": self.key or None,
            "files": [str(path) for path in self.files],
            "first": counts.first,
            "last": counts.last,
            "code": self.code,
            "requests": counts.requests,
            "unfinished": counts.begun - counts.concluded,
            "missing": counts.missing,
            "halfLines": [{"file": str(path), "line": line} for path, line in counts.torn],
            "deletedThrough": counts.deleted_through,
            "end": self.end,
            "isEnded": counts.is_ended,
            "checkpoint": self.checkpoint.as_json() if self.checkpoint else None,
            "problems": [item.as_json() for item in self.problems],
        }


def verified_chains(
    chains: Sequence[FoundChain],
    keys: tuple[AuditKey, ...],
    given: GivenCheckpoints,
    progress: Progress,
) -> list[ChainReport]:
    """Verify chains; each report has the first problem of its chain, and those with checkpoints.

    Raises:
        AuditError: ``AUDIT_KEY``, there is neither a key nor a signed checkpoint.
    """
    if not keys and not given.signed:
        hint = "name the file with the log's keys: --key FILE"
        raise failure(
            "AUDIT_KEY", "the codes of the lines cannot be checked without a key", hint=hint
        )
    task = progress.task("reading the audit log", sum(chain.size_bytes for chain in chains))
    reports = [_verified(chain, keys, given, task.advance) for chain in chains]
    task.done()
    known = {report.chain for report in reports}
    for checkpoint in given.all:
        if checkpoint.chain not in known:
            known.add(checkpoint.chain)
            message = f"the chain {checkpoint.chain} of a checkpoint is not among these files"
            hint = "the log was replaced, begun again, or is another kit's; look for the files"
            reports[-1].problems.append(problem("AUDIT_CUT", message, hint=hint))
    return reports


def _verified(
    found: FoundChain, keys: tuple[AuditKey, ...], given: GivenCheckpoints, advance: Advance
) -> ChainReport:
    report = ChainReport(found.name, found.files)
    if keys:
        _check_lines(report, keys, given, advance)
    else:
        report.chain = _stated_chain(found.files[0])
    for item in given.of(report.chain).signed:
        _compare_files(report, item)
        if not report.problems:
            report.checkpoint = item.checkpoint
    return report


def _check_lines(
    report: ChainReport, keys: tuple[AuditKey, ...], given: GivenCheckpoints, advance: Advance
) -> None:
    reader = ChainReader(keys, [item.n for item in given.all])
    for path in report.files:
        try:
            is_good = reader.read(path, advance)
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            report.problems.append(problem("AUDIT_MISSING", message, where=str(path)))
            return
        report.good_bytes[path] = reader.good_bytes
        if not is_good:
            break
    report.counts = reader.counts
    report.chain, report.kit = reader.chain, text_field(reader.head, "kit")
    if reader.key:
        report.key, report.code = reader.key.id, reader.code.hex()
    if fault := reader.fault:
        where, expected = f"{fault.path}, line {fault.line}", fault.expected or None
        found = problem(fault.code, fault.message, where=where, required=expected)
        report.problems.append(found)
        return
    _check_beginning(report)
    _compare_checkpoints(report, reader, keys, given)


def _check_beginning(report: ChainReport) -> None:
    counts, first = report.counts, report.files[0]
    if counts.first > counts.deleted_through + 1:
        lost = f"lines {counts.deleted_through + 1} to {counts.first - 1}"
        message = f"{lost} are missing before {first.name}, and the kit has not deleted them"
        report.problems.append(problem("AUDIT_CUT", message, where=str(first)))


def _compare_checkpoints(
    report: ChainReport,
    reader: ChainReader,
    keys: tuple[AuditKey, ...],
    given: GivenCheckpoints,
) -> None:
    """Compare a chain without a fault with the checkpoints that its keys have made."""
    by_id = {key.id: key for key in keys}
    mine = given.of(report.chain)
    sealed = [item for item in mine.plain if item.key in by_id and item.is_of(by_id[item.key])]
    if len(sealed) < len(mine.plain):
        message = f"{len(mine.plain) - len(sealed)} checkpoints are not of a key of this log"
        report.problems.append(problem("AUDIT_KEY", message, where=report.name))
    signed = [item.checkpoint for item in mine.signed]
    for item in sorted([*sealed, *signed], key=lambda item: item.n):
        if item.n > report.counts.last:
            message = f"the log ends with line {report.counts.last}; at {item.time} it had more"
            report.problems.append(
                problem(
                    "AUDIT_CUT",
                    message,
                    where=str(report.files[-1]),
                    measured=f"{report.counts.last} lines",
                    required=f"at least {item.n}",
                )
            )
            return
        if item.n >= report.counts.first and reader.codes.get(item.n) != item.code:
            message = f"line {item.n} is another one than at {item.time}: the log was replaced"
            report.problems.append(problem("AUDIT_CHANGED", message, where=report.name))
            return
        report.checkpoint = item


def _compare_files(report: ChainReport, signed: SignedCheckpoint) -> None:
    """Compare the files with their digests in a signed checkpoint; old files may be deleted."""
    paths = {path.name: path for path in report.files}
    is_found = False
    for stated in signed.files:
        path = paths.get(stated.name)
        if path is None and not is_found:
            continue
        is_found = True
        try:
            if path and covered_file(path, stated.size_bytes) == stated:
                continue
        except OSError:
            path = None
        what = "differs from" if path else "is missing, and is in"
        message = f"{stated.name} {what} the signed checkpoint of {signed.checkpoint.time}"
        required = f"sha256 {stated.sha256} of the first {stated.size_bytes} bytes"
        found = problem("AUDIT_CHANGED", message, where=str(path or report.name), required=required)
        report.problems.append(found)
        return
    if not is_found:
        message = f"no file of the signed checkpoint of {signed.checkpoint.time} is here"
        report.problems.append(problem("AUDIT_CUT", message, where=report.name))


def _stated_chain(path: Path) -> str:
    """Return the chain that a file states to be of; nothing shows yet that this is true."""
    with path.open("rb") as stream:
        head = parsed(stream.readline(_HEAD_BYTES).rstrip(b"\n"))
    return text_field(head or {}, "chain")

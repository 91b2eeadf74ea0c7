"""Signs how far an audit log has come, with a key that the kit's machine need not have."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from mealkit.auditlog.checkpoint import Checkpoint
from mealkit.auditlog.signed_checkpoint import SignedCheckpoint, covered_file
from mealkit.errors import failure, failures
from mealkit.files.whole import disk_errors, partial_file
from mealkit.pipeline.audit.verifying_audit_logs import ChainReport
from mealkit.trust.bundle import signed_bundle
from mealkit.trust.signing_keys import SigningKey


def write_checkpoint(
    reports: Sequence[ChainReport], key: SigningKey, output: Path
) -> Iterator[tuple[Path, ChainReport]]:
    """Write a signed checkpoint of each chain; of the second in a file of its own, ending in -2.

    Raises:
        AuditError: a chain has a problem; what may be forged is not signed.
        BuildError: ``OUTPUT_EXISTS``, an earlier checkpoint is never replaced.
        StoreError: ``DISK_FULL``, ``DISK_DENIED``.
    """
    if problems := [item for report in reports for item in report.problems]:
        raise failures(problems)
    for number, report in enumerate(reports, 1):
        path = output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        with disk_errors(path.parent):
            if path.exists():
                hint = "choose another name; earlier checkpoints are evidence"
                raise failure("OUTPUT_EXISTS", f"{path} exists", where=str(path), hint=hint)
            bundle = signed_bundle(_checkpoint(report).payload(), key)
            with partial_file(path) as partial:
                partial.write(bundle)
                partial.finish(path)
        yield path, report


def _checkpoint(report: ChainReport) -> SignedCheckpoint:
    time = datetime.now(UTC).isoformat(timespec="seconds")
    reached = Checkpoint(report.chain, report.counts.last, report.code, report.key, time)
    files = tuple(covered_file(path, size) for path, size in report.good_bytes.items())
    return SignedCheckpoint(reached, report.kit, files)

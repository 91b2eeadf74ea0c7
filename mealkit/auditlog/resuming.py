"""Finds where a chain goes on after a restart, by reading its last file again."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mealkit.auditlog.audit_key import AuditKey
from mealkit.auditlog.audit_line import Torn
from mealkit.auditlog.chain_folder import chain_files, number_of
from mealkit.auditlog.chain_reader import ChainReader, Fault


@dataclass(frozen=True, slots=True)
class Resumption:
    """The state of a chain that goes on."""

    chain: str
    file: Path
    size_bytes: int
    number: int
    """The number of the last line."""
    code: bytes
    key: AuditKey
    torn: Torn | None
    """The half line that a killed process has left behind."""
    ends_line: bool
    """Whether the file ends with a line feed."""


def resumption_of(chain: Path, keys: Sequence[AuditKey]) -> Resumption | Fault | None:
    """Return the state of the chain in a folder; None if it has no files yet.

    A chain with a fault is not continued: what was changed must stay as it is.

    Raises:
        OSError: a file cannot be read.
    """
    for left in chain.glob("*.part"):
        with suppress(OSError):
            left.unlink()
    files = chain_files(chain)
    if not files:
        return None
    last = files[-1]
    reader = ChainReader(keys)
    if not reader.read(last, lambda _: None):
        return reader.fault
    assert reader.key is not None  # noqa: S101  the file has a head
    if number_of(last) != reader.head.get("file"):
        return Fault("AUDIT_CHANGED", last, 1, "the file was renamed", str(reader.head.get("file")))
    size_bytes = last.stat().st_size
    with last.open("rb") as stream:
        stream.seek(max(size_bytes - 1, 0))
        ends_line = stream.read(1) == b"\n"
    return Resumption(
        reader.chain,
        last,
        size_bytes,
        reader.counts.last,
        reader.code,
        reader.key,
        reader.torn_tail(last),
        ends_line,
    )

"""Finds requests in audit logs, without checking the lines' codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mealkit.auditlog.audit_line import MAX_LINE_BYTES, parsed, text_field
from mealkit.auditlog.audit_record import BEGUN, REQUEST
from mealkit.pipeline.audit.audit_logs import FoundChain
from mealkit.untrusted import open_regular


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests to find; an empty value is any."""

    request: str = ""
    key: str = ""
    since: str = ""
    """The earliest time, as the log writes it, or a part of its beginning."""
    until: str = ""
    outcome: str = ""
    problem: str = ""

    def fits(self, form: dict[str, Any]) -> bool:
        """Return whether a line is about a wanted request."""
        time = text_field(form, "time")
        return (
            self.request in {"", text_field(form, "id")}
            and self.key in {"", text_field(form, "key")}
            and self.outcome in {"", text_field(form, "outcome")}
            and self.problem in {"", text_field(form, "problem")}
            and time >= self.since
            and (not self.until or time[: len(self.until)] <= self.until)
        )


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """A line of the log that fits."""

    path: Path
    line: int
    form: dict[str, Any]


def found_entries(chains: Sequence[FoundChain], wanted: Wanted) -> Iterator[FoundEntry]:
    """Yield the lines about requests that are wanted, oldest first within each chain.

    A request has a line ``begun`` without an outcome, if the kit was killed before its end.

    Raises:
        OSError: a file cannot be read.
    """
    # Lines without the id need not be parsed.
    needle = wanted.request.encode("ascii", "replace")
    for chain in chains:
        for path in chain.files:
            descriptor = open_regular(path)
            with open(descriptor, "rb") as stream:  # noqa: PTH123  a descriptor
                lines = iter(lambda: stream.readline(MAX_LINE_BYTES), b"")
                for number, line in enumerate(lines, 1):
                    if needle not in line:
                        continue
                    form = parsed(line.rstrip(b"\n"))
                    if form and form["kind"] in {BEGUN, REQUEST} and wanted.fits(form):
                        yield FoundEntry(path, number, form)

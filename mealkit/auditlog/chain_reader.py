"""Reads the files of one chain, checks each line's code, and counts what the lines report.

Streams: memory is bounded by the longest line that is allowed, whatever a file's size. Stops at the
first line that is not valid, which is a fault and not an exception.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mealkit.auditlog.audit_key import AuditKey, CodeState
from mealkit.auditlog.audit_line import (
    CODE_BYTES,
    MAX_LINE_BYTES,
    NO_CODE,
    TAIL_BYTES,
    Torn,
    begins_whole,
    is_whole,
    number_field,
    parsed,
    tail_of,
    text_field,
)
from mealkit.untrusted import open_regular, shown

_BLOCK_BYTES = 1024 * 1024
_REQUEST = b'{"kind":"request"'
_BEGUN_KIND = b'{"kind":"begun"'
_RESUMED = b'{"kind":"resumed"'
_BEGUN = b',"begun":'
_LINE_START_BYTES = 64
_MAX_NOTES = 1000


@dataclass(frozen=True, slots=True)
class Fault:
    """The first line of a chain that is not valid."""

    code: str
    """The code of the problem."""
    path: Path
    line: int
    """The line's number in the file, from 1."""
    message: str
    expected: str = ""


@dataclass(slots=True)
class ChainCounts:
    """What the valid lines of a chain report."""

    first: int = 0
    """The number of the first line that was read."""
    last: int = 0
    requests: int = 0
    begun: int = 0
    """The requests that the kit has begun to answer."""
    concluded: int = 0
    """Those of them that have a line about their end."""
    missing: int = 0
    """The lines that could not be written, as the chain itself states."""
    torn: list[tuple[Path, int]] = field(default_factory=list)
    """Where a killed process has left a half line: the file, and the line's number in it."""
    deleted_through: int = 0
    """The last line that the kit has deleted, with its file, to make room."""
    is_ended: bool = False
    """Whether the last line is that of a kit that was stopped."""
    half_line_bytes: int = 0
    """The bytes after the last whole line: the kit was killed, or is writing."""
    last_time: str = ""


class ChainReader:
    """The state of a chain after the lines that were read."""

    def __init__(self, keys: Sequence[AuditKey], codes_wanted: Sequence[int] = ()) -> None:
        """Begin; ``codes_wanted`` are numbers of lines whose codes are to be kept."""
        self._keys = {key.id: key for key in keys}
        self._wanted = sorted(set(codes_wanted), reverse=True)
        self.codes: dict[int, str] = {}
        """The codes of the wanted lines."""
        self.counts = ChainCounts()
        self.head: Mapping[str, Any] = {}
        """The first line of the last file that was read."""
        self.chain = ""
        """The chain's id."""
        self.code = NO_CODE
        self.key: AuditKey | None = None
        self.fault: Fault | None = None
        self.good_bytes = 0
        """The size of the last file up to the end of its last valid line."""
        self._next_key = ""
        self._state: CodeState
        self._torn: list[bytes] = []
        self._torn_bytes = 0

    def read(
        self, path: Path, advance: Callable[[int], None], see: Callable[[bytes], None] | None = None
    ) -> bool:
        """Read the next file; return whether all of its whole lines are valid.

        ``see`` is called with each block of the file.

        Raises:
            OSError: the file cannot be read.
        """
        self.good_bytes = 0
        line_number = 0
        rest = b""
        for block, lines, rest in _blocks(path):
            if see:
                see(block)
            for line in lines:
                line_number += 1
                if not self._take(path, line_number, line):
                    return False
            if len(rest) > MAX_LINE_BYTES:
                return self._fail(path, line_number + 1, "the line is too long", "")
            advance(len(block))
            self.counts.half_line_bytes = len(rest)
        if not line_number:
            return self._fail(path, 1, "the file is empty, or has only half a line", "a head")
        self.counts.half_line_bytes += self._torn_bytes
        return self._may_be_torn(path, line_number, rest)

    def _may_be_torn(self, path: Path, line_number: int, rest: bytes) -> bool:
        """Check the end of a file: a line that was half written has no end, and no code."""
        if self._torn and not rest:
            return self._fail(
                path, line_number - len(self._torn) + 1, "the line is not a valid one", ""
            )
        if begins_whole(rest) and not self._is_next(rest):
            return self._fail(path, line_number + 1, "the line is not a valid one", "")
        return True

    def _is_next(self, line: bytes) -> bool:
        body, tail = line[:-TAIL_BYTES], line[-TAIL_BYTES:]
        return tail == tail_of(self._state.code(self.code, body))

    def torn_tail(self, path: Path) -> Torn | None:
        """Return what follows the last valid line of the file that was read; None if nothing does.

        Raises:
            OSError: the file cannot be read.
        """
        with path.open("rb") as stream:
            stream.seek(self.good_bytes)
            rest = stream.read(MAX_LINE_BYTES + 1)
        return Torn.of(rest.removesuffix(b"\n")) if rest else None

    def _take(self, path: Path, line_number: int, line: bytes) -> bool:
        if line_number == 1 and not self._begin_file(path, line):
            return False
        body, tail = line[:-TAIL_BYTES], line[-TAIL_BYTES:]
        code = self._state.code(self.code, body)
        if tail != tail_of(code):
            return self._pass_torn(path, line_number, line)
        # Whether half a line was there, or should be.
        if (self._torn or line.startswith(_RESUMED)) and not self._ends_torn(
            path, line_number, line
        ):
            return False
        self.code = code
        self.good_bytes += len(line) + 1
        counts = self.counts
        counts.last += 1
        if self._wanted and counts.last == self._wanted[-1]:
            self.codes[self._wanted.pop()] = code.hex()
        if line.startswith(_REQUEST):
            counts.requests += 1
            counts.concluded += line.find(_BEGUN, 0, _LINE_START_BYTES) > 0
            counts.is_ended = False
        elif line.startswith(_BEGUN_KIND):
            counts.begun += 1
        else:
            self._note(line)
        return True

    def _begin_file(self, path: Path, line: bytes) -> bool:
        """Read a file's head: which chain and key it is of, and what was before."""
        head = parsed(line)
        if head is None or head["kind"] != "head":
            return self._fail(path, 1, "the file does not begin with the head of an audit log", "")
        key = self._keys.get(text_field(head, "key"))
        if key is None:
            named = shown(text_field(head, "key"))
            message = f"the lines have codes of the key {named}, which was not given"
            return self._fail(path, 1, message, " or ".join(self._keys), "AUDIT_KEY")
        try:
            previous = bytes.fromhex(text_field(head, "previous"))
        except ValueError:
            previous = b""
        if len(previous) != CODE_BYTES:
            return self._fail(path, 1, "the head does not state the code before it", "")
        if not self.head:
            self.code = previous
            self.counts.first = head["n"]
            self.counts.last = head["n"] - 1
            self.chain = text_field(head, "chain")
        elif not self._follows(path, head, previous):
            return False
        self.head, self.key, self._state = head, key, key.state()
        return True

    def _follows(self, path: Path, head: Mapping[str, Any], previous: bytes) -> bool:
        """Return whether a file follows the one before."""
        if text_field(head, "chain") != self.chain:
            message = f"the file is of another chain: {shown(text_field(head, 'chain'))}"
            return self._fail(path, 1, message, self.chain)
        if head["n"] != self.counts.last + 1 or previous != self.code:
            return self._fail(path, 1, *_jump(head["n"], self.counts.last + 1, "the file begins"))
        if self._torn_bytes or self.counts.half_line_bytes:
            return self._fail(path, 1, "the file before ends with half a line", "a whole line")
        assert self.key is not None  # noqa: S101  there was a head
        if text_field(head, "key") not in {self.key.id, self._next_key}:
            message = f"the key changes to {text_field(head, 'key')} without a line of the old key"
            return self._fail(path, 1, message, self.key.id)
        return True

    def _pass_torn(self, path: Path, line_number: int, line: bytes) -> bool:
        """Keep what may be a half line, until a line of the kit says that it is one."""
        if is_whole(line) or self._torn_bytes + len(line) > MAX_LINE_BYTES or line_number == 1:
            at = line_number - len(self._torn)
            if self._torn:
                return self._fail(path, at, "the line is not a valid one", "")
            form = parsed(line)
            expected = self.counts.last + 1
            found = form["n"] if form else expected
            return self._fail(path, at, *_jump(found, expected, "the line has"))
        self._torn.append(line)
        self._torn_bytes += len(line) + 1
        return True

    def _ends_torn(self, path: Path, line_number: int, line: bytes) -> bool:
        """Check the line of a kit that has found half a line at its start."""
        first = line_number - len(self._torn)
        torn = Torn.of(b"\n".join(self._torn))
        form = parsed(line) or {}
        stated = Torn(number_field(form, "torn_bytes"), text_field(form, "torn_sha256"))
        if form.get("kind") != "resumed" or stated != torn:
            return self._fail(path, first, "the line is not a valid one", "")
        if self._torn and len(self.counts.torn) < _MAX_NOTES:
            self.counts.torn.append((path, first))
        self.good_bytes += self._torn_bytes
        self._torn, self._torn_bytes = [], 0
        return True

    def _note(self, line: bytes) -> None:
        """Count what one of the rare lines reports; its code was checked."""
        form = parsed(line) or {}
        counts = self.counts
        self._next_key = ""
        match form.get("kind"):
            case "end":
                counts.is_ended = True
            case "missing":
                counts.missing += number_field(form, "count")
            case "deleted":
                through = number_field(form, "through")
                counts.deleted_through = max(counts.deleted_through, through)
            case "new_key":
                self._next_key = text_field(form, "key")
            case _:
                counts.is_ended = False
        counts.last_time = text_field(form, "time")

    def _fail(
        self, path: Path, line: int, message: str, expected: str, code: str = "AUDIT_CHANGED"
    ) -> bool:
        self.fault = Fault(code, path, line, message, expected)
        return False


def _jump(found: int, expected: int, what: str) -> tuple[str, str]:
    """Return what a line's number says about why its code is not valid, and what was expected."""
    if found > expected:
        message = f"{what} number {found}: lines {expected} to {found - 1} are missing"
    elif found < expected:
        message = f"{what} number {found} after {expected - 1}: it is repeated or out of order"
    else:
        message = f"{what} a code that does not match: it, or the code before it, was changed"
    return message, f"number {expected}, with the code of its text and of line {expected - 1}"


def _blocks(path: Path) -> Iterator[tuple[bytes, list[bytes], bytes]]:
    """Yield blocks of a file, the whole lines up to their end, and what follows them."""
    descriptor = open_regular(path)
    rest = b""
    try:
        while block := os.read(descriptor, _BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            yield block, lines, rest
            if len(rest) > MAX_LINE_BYTES:
                return
    finally:
        os.close(descriptor)

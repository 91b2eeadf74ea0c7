"""Keeps the answers of a test that did not end, so that the next one goes on where it stopped.

One file for each claim, a line of JSON for each answer. Its name is the digest of everything that
an answer depends on. A line that a killed process left half written is ignored.
"""

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from mealkit.digest import Digest, canonical_json
from mealkit.errors import Owner
from mealkit.untrusted import UntrustedError, open_regular, parse_json_object

_MAX_BYTES = 4 * 1024 * 1024 * 1024
_MAX_LINE_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for a question: a value, or the problem that came instead."""

    value: Any = None
    seconds: float = 0.0
    problem: str | None = None
    """The problem's code; None: the kit answered."""
    message: str = ""
    owner: Owner | None = None
    first_token_seconds: float | None = None
    tokens: int | None = None
    """The number of generated tokens, where the answer states it."""
    recipe: str | None = None
    """The recipe digest that the answer states."""

    def wrong(self, message: str) -> "Reply":
        """Return the reply as a problem: the answer is none of its endpoint's."""
        return Reply(
            seconds=self.seconds,
            problem="ENGINE_ANSWER",
            message=message,
            owner=Owner.KIT_AUTHOR,
        )


class AnswerJournal:
    """The answers to one claim's questions; as a context it is open for more.

    It is a convenience: where nothing can be written, such as on a full disk, or where another test
    of the same kit writes at the moment, the test goes on without it.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Prepare; ``key``: what the answers depend on."""
        self._path = folder / f"{Digest.of(canonical_json(key)).hex}.jsonl"
        self._file: IO[bytes] | None = None
        self.replies: dict[int, Reply] = {}
        """The answers that an interrupted test left, by the row's position."""
        self.fault: str | None = None
        """Why answers are not kept; None if they are."""

    def __enter__(self) -> Self:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open(os.open(self._path, flags, 0o600), "ab", buffering=0)  # noqa: PTH123
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
            # A half line of a killed process must not join the next one.
            self._write(b"\n")
        except BlockingIOError:
            self._stop("another test of this kit runs at the moment")
        except OSError as error:
            self._stop(error.strerror or str(error))
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: int, reply: Reply) -> None:
        """Write one answer; problems are not kept, so that those rows are asked again."""
        if self._file is None or reply.problem is not None:
            return
        form = {"row": row, "value": reply.value, "seconds": reply.seconds, "tokens": reply.tokens}
        try:
            self._write(json.dumps(form, ensure_ascii=False).encode() + b"\n")
        except OSError as error:
            self._stop(error.strerror or str(error))

    def delete(self) -> None:
        """Delete the file, unless it is another test's: the kit is judged."""
        if self._file is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        if self._file is not None and self._file.write(data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _stop(self, fault: str) -> None:
        self.fault = fault
        if self._file is not None:
            self._file.close()
            self._file = None

    def _read(self) -> None:
        total = 0
        with open(open_regular(self._path, follow=False), "rb") as file:  # noqa: PTH123
            while line := file.readline(_MAX_LINE_BYTES):
                total += len(line)
                if total > _MAX_BYTES:
                    return
                with suppress(UntrustedError, KeyError, TypeError, ValueError, OverflowError):
                    form = parse_json_object(line)
                    row, seconds = int(form["row"]), float(form["seconds"])
                    self.replies[row] = Reply(form["value"], seconds, tokens=form["tokens"])

"""Keeps the answers of a test that did not end, so that the next one goes on where it stopped.

One file for each claim, a line of JSON for each answer. Its name is the digest of everything that
an answer depends on. A line that a killed process left half written is ignored.
"""

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


class AnswerJournal:
    """The answers to one claim's questions; as a context it is open for more."""

    def __init__(self, folder: Path, key: Mapping[str, Any]) -> None:
        """Read what an interrupted test left; ``key``: what the answers depend on."""
        self._path = folder / f"{Digest.of(canonical_json(key)).hex}.jsonl"
        self._file: IO[bytes] | None = None
        self.replies: dict[int, Reply] = {}
        """The answers that are known already, by the row's position."""

    def __enter__(self) -> Self:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(OSError):
            self._read()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = open(os.open(self._path, flags, 0o600), "ab", buffering=0)  # noqa: PTH123
        # A half line of a killed process must not join the next one.
        self._file.write(b"\n")
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: int, reply: Reply) -> None:
        """Write one answer; problems are not kept, so that those rows are asked again."""
        if self._file is None or reply.problem is not None:
            return
        form = {"row": row, "value": reply.value, "seconds": reply.seconds, "tokens": reply.tokens}
        self._file.write(json.dumps(form, ensure_ascii=False).encode() + b"\n")

    def delete(self) -> None:
        """Delete the file: the claim is judged."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        total = 0
        with open(open_regular(self._path, follow=False), "rb") as file:  # noqa: PTH123
            while line := file.readline(_MAX_LINE_BYTES):
                total += len(line)
                if total > _MAX_BYTES:
                    return
                with suppress(UntrustedError, KeyError, TypeError, ValueError):
                    form = parse_json_object(line)
                    row, seconds = int(form["row"]), float(form["seconds"])
                    self.replies[row] = Reply(form["value"], seconds, tokens=form["tokens"])

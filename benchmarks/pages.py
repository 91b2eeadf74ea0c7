"""Plays a page of the documentation as its reader would, and compares what is printed.

A fence is read by its language:

- ``yaml`` or ``python`` whose first line is ``# FOLDER/FILE``: the whole file, without
  that line.
- ``diff`` whose first line is ``# FOLDER/FILE``: lines with ``-`` become those with ``+``; others
  stand around them.
- none, with lines that begin with ``$``: commands, each with the output that the page shows. One
  that ends with ``<<'END'`` goes on to the line ``END``.

Of the output, words must be as the page has them; numbers, digests and spaces may differ, and
``...`` stands for anything. A command that the page shows with ``error[...]``, or with a test that
``fails``, must fail; every other one must succeed.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measured import CannotMeasureError
from benchmarks.registry import free_port

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# ([\w./-]+/[\w.-]+|[\w-]+\.\w+)\n")
_FILES = frozenset({"yaml", "python"})
_LIMIT_SECONDS = 600.0
_SHOWN_CHARS = 2000


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that the page shows."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """Lines of a file that become others."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, and what the page says that it prints."""

    line: str
    printed: tuple[str, ...]


Step = WrittenFile | Edit | Command


@dataclass(frozen=True, slots=True)
class Played:
    """A command that did what the page says, and how long it took."""

    line: str
    seconds: float
    output: str


def steps_of(page: str) -> list[Step]:
    """Return what the reader of a page does, in its order."""
    steps: list[Step] = []
    for language, text in _FENCE.findall(page):
        named = _NAMED.match(text)
        if language == "diff" and named:
            steps.append(_edit(named[1], text[named.end() :]))
        elif language in _FILES and named:
            steps.append(WrittenFile(named[1], text[named.end() :]))
        elif not language and text.startswith("$ "):
            steps += _commands(text)
    return steps


def play(steps: Sequence[Step], folder: Path, variables: Mapping[str, str]) -> Iterator[Played]:
    """Do the steps in a folder; yield each command after it ended.

    Port 8000 of the page becomes a free one. What ``mealkit run`` started is stopped at the end.

    Raises:
        CannotMeasureError: a step does not do what the page says.
    """
    port = free_port()
    environment = {**os.environ, **variables}
    started = set[str]()
    try:
        for step in steps:
            match step:
                case WrittenFile(path, text):
                    (folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (folder / path).write_text(text)
                case Edit():
                    _change(folder / step.path, step)
                case Command():
                    started |= set(re.findall(r"mealkit run (?:--replace )?([\w.-]+)", step.line))
                    yield _typed(step, folder, environment, port)
    finally:
        for name in started:
            # Most have been stopped by the page itself.
            with suppress(subprocess.SubprocessError):
                _shell(f"mealkit stop {name}", folder, environment)


def _edit(path: str, lines: str) -> Edit:
    kept = lines.splitlines()
    old = [line[1:] for line in kept if not line.startswith("+")]
    new = [line[1:] for line in kept if not line.startswith("-")]
    return Edit(path, "\n".join(old), "\n".join(new))


def _change(path: Path, edit: Edit) -> None:
    text = path.read_text()
    count = text.count(edit.old)
    if count != 1:
        raise CannotMeasureError(f"{edit.path} has {count} times: {edit.old}")
    path.write_text(text.replace(edit.old, edit.new))


def _commands(text: str) -> Iterator[Command]:
    lines = text.splitlines()
    while lines:
        line = lines.pop(0).removeprefix("$ ")
        while line.endswith(("\\", "|")) and lines:
            line = f"{line.removesuffix(chr(92))} {lines.pop(0).strip()}"
        while line.partition("\n")[0].endswith("<<'END'") and not line.endswith("\nEND"):
            line = f"{line}\n{lines.pop(0)}"
        printed = []
        while lines and not lines[0].startswith("$ "):
            printed.append(lines.pop(0))
        yield Command(line.partition("  #")[0], tuple(printed))


def _typed(step: Command, folder: Path, environment: Mapping[str, str], port: int) -> Played:
    line = re.sub(r"\b8000\b", str(port), step.line)
    line = re.sub(r"mealkit run (?!.*--port)", f"mealkit run --port {port} ", line)
    began = time.monotonic()
    try:
        done = _shell(line, folder, environment)
    except subprocess.TimeoutExpired as error:
        raise CannotMeasureError(f"{line} did not end in {_LIMIT_SECONDS:.0f} s") from error
    seconds = time.monotonic() - began
    fails = any(text.startswith("error[") or " fails" in text for text in step.printed)
    if (done.returncode != 0) != fails:
        tail = done.stdout[-_SHOWN_CHARS:]
        raise CannotMeasureError(f"$ {line}\nended with {done.returncode}: {tail}")
    lost = differences(step.printed, done.stdout)
    if lost:
        tail = done.stdout[-_SHOWN_CHARS:]
        raise CannotMeasureError(f"$ {line}\ndid not print {lost[0]!r}, but: {tail}")
    return Played(line, seconds, done.stdout)


def _shell(
    line: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_LIMIT_SECONDS,
        check=False,
    )


def differences(printed: Sequence[str], output: str) -> list[str]:
    """Return the lines of a page that a program's output does not have."""
    words = _plain(output)
    lost = []
    for line in printed:
        pieces = [_plain(piece) for piece in line.split("...") if piece.strip()]
        pattern = ".*?".join(re.escape(piece) for piece in pieces)
        if not re.search(pattern, words, re.DOTALL):
            lost.append(line)
    return lost


def _plain(text: str) -> str:
    """Return a text in which numbers, digests and spaces are all alike."""
    text = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{6,}\b", "0", text)
    text = re.sub(r"[+-]?\d+(?:\.\d+)?(?:e-?\d+)?", "0", text)
    text = re.sub(r"\b0 (?:ms|s|bytes|[KMG]iB)\b", "0", text)
    return " ".join(text.split())

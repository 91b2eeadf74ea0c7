"""Writes the command line's output: results to stdout, problems and progress to stderr.

Colours are for terminals only. Control characters in text from files or networks are escaped.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from mealkit.errors import OwnerContact, Problem

_RED, _YELLOW, _DIM, _BOLD = "31;1", "33;1", "2", "1"


def print_json(value: Any) -> None:
    """Write a result as JSON to stdout."""
    sys.stdout.write(json_text(value, indent=2) + "\n")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return JSON with unprintable characters escaped; it parses to the same value."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    return "".join(
        item if item.isprintable() or item == "\n" else json.dumps(item)[1:-1] for item in text
    )


def print_line(text: str) -> None:
    """Write exactly one line of a result to stdout; line breaks in the text are escaped."""
    sys.stdout.write(printable_line(text) + "\n")


def print_text(text: str) -> None:
    """Write a text, or a piece of one, to stdout at once; on a terminal without control characters.

    A file or a pipe gets it as it is.
    """
    sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def say(text: str) -> None:
    """Write exactly one line about progress to stderr; line breaks in the text are escaped."""
    sys.stderr.write(printable_line(text) + "\n")


def print_problem(problem: Problem, *, warning: bool = False) -> None:
    """Write a problem to stderr as one block.

    The block states the message, the place, measured and required values, the owner, the contact
    and the hint.
    """
    title, colour = ("warning", _YELLOW) if warning else ("error", _RED)
    head = _styled(f"{title}[{problem.code}]", colour, sys.stderr)
    first, *rest = printable(problem.message).split("\n")
    lines = [f"{head} {_styled(first, _BOLD, sys.stderr)}", *(f"  {line}" for line in rest)]
    details = {
        "where": problem.where,
        "measured": problem.measured,
        "required": problem.required,
        "owner": problem.owner.value,
        "contact": _contact_line(problem.contact),
        "hint": problem.hint,
    }
    known = {name: value for name, value in details.items() if value}
    width = max(map(len, known))
    for name, value in known.items():
        label = _styled(name.ljust(width), _DIM, sys.stderr)
        # All lines of a value are indented, so that none looks like another problem.
        first, *rest = printable(value).split("\n")
        lines += [f"  {label} {first}", *(f"  {' ' * width} {line}" for line in rest)]
    sys.stderr.write("\n".join(lines) + "\n")


def print_problems_json(problems: Iterable[Problem]) -> None:
    """Write problems to stderr as one line of JSON."""
    form = {"problems": [item.as_json() for item in problems]}
    sys.stderr.write(json_text(form) + "\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int]) -> list[str]:
    """Return the lines of a table; the columns in ``right`` are aligned to the right."""
    cells = [tuple(heads), *(tuple(map(printable_line, row)) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def printable(text: str) -> str:
    """Return a text with control characters, other than newlines and tabs, escaped."""
    return "".join(
        item if item.isprintable() or item in "\n\t" else item.encode("unicode_escape").decode()
        for item in text
    )


def printable_line(text: str) -> str:
    """Return a text on one line: line breaks are escaped, too."""
    return printable(text).replace("\n", "\\n")


def _contact_line(contact: OwnerContact | None) -> str | None:
    return f"{contact.team}, {contact.contact}: {contact.support}" if contact else None


def has_colour(stream: TextIO) -> bool:
    """Return whether to use colours: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def _styled(text: str, code: str, stream: TextIO) -> str:
    return f"\033[{code}m{text}\033[0m" if has_colour(stream) else text

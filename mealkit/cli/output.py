"""What the command line writes: results to stdout, problems and talk to stderr.

Colours are for terminals only. Text that came from files or networks cannot steer the terminal.
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
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def print_line(text: str) -> None:
    """Write a line of a result to stdout."""
    sys.stdout.write(printable(text) + "\n")


def say(text: str) -> None:
    """Write a line of talk to stderr."""
    sys.stderr.write(printable(text) + "\n")


def print_problem(problem: Problem, *, warning: bool = False) -> None:
    """Write a problem to stderr as one block.

    What happened and where, measured and required, who owns it, whom to ask, and what to do.
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
        # A second line of a value cannot look like another detail.
        shown = printable(value).replace("\n", "\n" + " " * (width + 3))
        lines.append(f"  {label} {shown}")
    sys.stderr.write("\n".join(lines) + "\n")


def print_problems_json(problems: Iterable[Problem]) -> None:
    """Write problems to stderr as one line of JSON."""
    form = {"problems": [item.as_json() for item in problems]}
    sys.stderr.write(json.dumps(form, ensure_ascii=False) + "\n")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: frozenset[int]) -> list[str]:
    """Return the lines of a table; the columns in ``right`` are aligned to the right."""
    cells = [tuple(heads), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def printable(text: str) -> str:
    """Return a text with control characters, other than newlines and tabs, written as escapes."""
    return "".join(
        item if item.isprintable() or item in "\n\t" else item.encode("unicode_escape").decode()
        for item in text
    )


def _contact_line(contact: OwnerContact | None) -> str | None:
    return f"{contact.team}, {contact.contact}: {contact.support}" if contact else None


def has_colour(stream: TextIO) -> bool:
    """Tell whether colours are wanted: on a terminal, unless NO_COLOR (https://no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def _styled(text: str, code: str, stream: TextIO) -> str:
    return f"\033[{code}m{text}\033[0m" if has_colour(stream) else text

"""Compiles a kit's code with the kit's own Python, if this machine has it; never runs the code.

Without that Python, this program's own compiles it: what an older Python accepts, a newer one does
too. A file that only a newer Python can read is then not checked, which a warning says.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mealkit.engines.handler_source import is_undecided, wrong_line
from mealkit.engines.python_syntax import parse_python
from mealkit.errors import Problem, failures, problem
from mealkit.sources.machine_python import Refused, compile_with, interpreters
from mealkit.untrusted import UntrustedError


@dataclass(frozen=True, slots=True)
class SyntaxFindings:
    """What is wrong with the code, and what could not be checked."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def syntax_findings(code: Mapping[str, str], python: str) -> SyntaxFindings:
    """Compile the Python files of a kit for its Python (``3.13``), and return what is wrong."""
    texts = {
        path: text.removeprefix("\ufeff")  # as Python reads a file
        for path, text in code.items()
        if path.endswith(".py") and "\0" not in text
    }
    if not texts:
        return SyntaxFindings()
    for interpreter in (*interpreters(python), sys.executable):
        answer = compile_with(interpreter, texts)
        if answer is None:
            continue
        version, wrong = answer
        if version == python:
            return SyntaxFindings(problems=tuple(wrong_line(*item) for item in wrong))
        return _by_another(wrong, texts, python, version)
    return SyntaxFindings()


def require_readable(code: Mapping[str, str], python: str) -> None:
    """Let the kit's Python, if this machine has it, read what this program's own cannot.

    Raises:
        KitError: ``KIT_INVALID``, with the line.
    """
    newer = {path: text for path, text in code.items() if not _is_parsed(text, path)}
    if found := syntax_findings(newer, python).problems:
        raise failures([*found])


def _by_another(
    wrong: Sequence[Refused], texts: Mapping[str, str], python: str, version: str
) -> SyntaxFindings:
    """Return what another Python's errors mean for the kit's."""
    major, _, minor = python.partition(".")
    kits = (int(major), int(minor))
    problems, warnings = [], []
    for path, line, said in wrong:
        if _is_parsed(texts[path], path) or not is_undecided(texts[path], kits):
            problems.append(wrong_line(path, line, said))
            continue
        where = f"{path}:{line}"
        text = f"{path} is not checked: Python {version} cannot read {python}; it says: {said}"
        hint = f"correct {where}, unless it is newer syntax; with Python {python} installed,"
        hint += " mealkit check can tell"
        warnings.append(problem("KIT_CODE_UNCHECKED", text, where=where, hint=hint))
    return SyntaxFindings(tuple(problems), tuple(warnings))


def _is_parsed(text: str, path: str) -> bool:
    """Return whether this Python reads the syntax, so that the error is in what it means."""
    try:
        parse_python(text, path)
    except (UntrustedError, SyntaxError, ValueError):
        return False
    return True

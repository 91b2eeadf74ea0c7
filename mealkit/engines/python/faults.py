"""Turns exceptions of the author's code into problems with the exception's type and line only.

An exception's message may contain a caller's data, so neither the caller nor the log gets it.
Imports only the standard library.
"""

import sys
import traceback
from pathlib import Path

from mealkit.errors import MealkitError, failure


def start_failure(error: BaseException, code_root: Path, doing: str) -> MealkitError:
    """Return the problem of code that failed before any request, with the exception's message."""
    traceback.print_exception(error)
    where = _syntax_line(error, code_root) or line_of(error, code_root)
    hint = None
    if isinstance(error, ModuleNotFoundError):
        hint = "name its package in runtime.requirements, or its file in runtime.code"
    message = f"{doing} failed: {type(error).__name__}: {_text(error)}"
    return failure("ENGINE_START", message, where=where, hint=hint)


def request_failure(error: BaseException, code_root: Path) -> MealkitError:
    """Return the problem of code that failed on a request, and write its traceback to the log."""
    name = type(error).__name__
    lines = [f"the kit's code raised {name}:"]
    lines += [
        f"  {frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if _inside(frame.filename, code_root)
    ]
    sys.stderr.write("\n".join(lines) + "\n")
    where = line_of(error, code_root)
    at = f" at {where}" if where else ""
    return failure("HANDLER_FAILED", f"the kit's code raised {name}{at}", where=where)


def line_of(error: BaseException, code_root: Path) -> str | None:
    """Return ``FILE:LINE`` of the innermost line of the kit's own code, if there is one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _inside(frame.filename, code_root):
            return f"{Path(frame.filename).relative_to(code_root)}:{frame.lineno}"
    return None


def _syntax_line(error: BaseException, code_root: Path) -> str | None:
    if isinstance(error, SyntaxError) and error.filename and _inside(error.filename, code_root):
        return f"{Path(error.filename).relative_to(code_root)}:{error.lineno}"
    return None


def _inside(filename: str, code_root: Path) -> bool:
    return Path(filename).is_relative_to(code_root)


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return error.msg or "it cannot be parsed"
    return str(error)

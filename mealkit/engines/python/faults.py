"""Turns exceptions of the author's code into problems, and writes them to the worker's log.

A caller gets the exception's type and line, because its message may describe the kit's inside; the
operator's log gets the message. A ``Refusal``, and a ``raise ValueError`` in the kit's own code, is
meant for the caller, with its message, as it is in a validator of pydantic. Imports only the
standard library.
"""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from opcode import opmap
from pathlib import Path

from mealkit.errors import MealkitError, Problem, failure, failures, problem
from mealkit.names import one_line
from mealkit.refusal import Refusal

_MOST_CHARACTERS = 1000
_MOST_FRAMES = 10
_MOST_CAUSES = 3
_RAISE = opmap["RAISE_VARARGS"]
_FIELD = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}")
_SERVER_STATUSES = range(500, 600)
_HINT = re.compile(r".+")
# The codes of a refusal's statuses, with the hint for each.
_BY_STATUS = {
    400: ("REQUEST_INVALID", "change the input as the message says"),
    413: ("REQUEST_TOO_LARGE", "send a smaller input"),
    415: ("REQUEST_MEDIA_TYPE", "send a file of another type, as the message says"),
    422: ("INPUT_REFUSED", None),
}


def start_failure(error: BaseException, code_root: Path, doing: str) -> MealkitError:
    """Return the problem of code that failed before any request, with the exception's message."""
    traceback.print_exception(error)
    where = _syntax_line(error, code_root) or line_of(error, code_root)
    hint = f"correct {where}" if where else None
    if isinstance(error, ModuleNotFoundError):
        hint = (
            "name its package in runtime.requirements, or its file in runtime.code; or delete it"
            " from runtime.exclude"
        )
    message = f"{doing} failed: {type(error).__name__}: {_text(error)}"
    return failure("ENGINE_START", message, where=where, hint=hint)


def request_failure(error: BaseException, code_root: Path) -> MealkitError:
    """Return the problem of code that failed on a request, or that refuses the input.

    A failure is written to the log, with the messages and lines of its causes.
    """
    if _refuses(error, code_root):
        return failures([refusal_problem(error, "input")])
    where = line_of(error, code_root)
    if os.environ.get("MEALKIT_DEV") == "on":  # the only caller is the author
        traceback.print_exception(error)
        lines = "\n".join(_log_lines(error, code_root)).replace(f"{code_root}/", "")
        hint = f"correct {where}" if where else None
        return failure("HANDLER_FAILED", lines, where=where, hint=hint)
    sys.stderr.write("\n".join(_log_lines(error, code_root)) + "\n")
    at = f" at {where}" if where else ""
    name = type(error).__name__
    hint = f"correct {where}; the engine's log has the exception's message" if where else None
    return failure("HANDLER_FAILED", f"the kit's code raised {name}{at}", where=where, hint=hint)


def refusal_problem(error: BaseException, where: str) -> Problem:
    """Return the problem that a refusal states; ``where`` is its field if it names none.

    Any exception may have the attributes of a ``Refusal``: a kit's own class needs no import.
    """
    field, hint = _stated(error, "field", _FIELD), _stated(error, "hint", _HINT)
    status = getattr(error, "status", None)
    code, usual = _BY_STATUS.get(status if type(status) is int else 0, _BY_STATUS[400])
    said = _bounded(error) or "the kit's code refuses the input"
    return problem(code, said, where=f"input.{field}" if field else where, hint=hint or usual)


def _stated(error: BaseException, name: str, form: re.Pattern[str]) -> str | None:
    """Return an attribute of an exception, if it is a text of this form."""
    value = getattr(error, name, None)
    if not isinstance(value, str):
        return None
    text = one_line(value[:_MOST_CHARACTERS])
    return text if form.fullmatch(text) else None


def _refuses(error: BaseException, code_root: Path) -> bool:
    """Return whether it is a refusal, or comes from a ``raise ValueError`` in the kit's own code.

    Other ValueErrors are mistakes of the code: of a library that it called, or of an operation such
    as ``int(text)``. So is one that states a status for mistakes of a server.
    """
    status = getattr(error, "status", None)
    if type(status) is int and status in _SERVER_STATUSES:
        return False
    if isinstance(error, Refusal):
        return True
    trace = error.__traceback__
    if not isinstance(error, ValueError) or trace is None:
        return False
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return _inside(code.co_filename, code_root) and code.co_code[trace.tb_lasti] == _RAISE


def _log_lines(error: BaseException, code_root: Path) -> Iterator[str]:
    """Yield the exception and its causes, each with the last lines of the kit's own code."""
    cause: BaseException | None = error
    for number in range(1 + _MOST_CAUSES):
        if cause is None:
            return
        start = "because of" if number else "the kit's code raised"
        yield f"{start} {type(cause).__name__}: {_bounded(cause)}"
        frames = [
            frame
            for frame in traceback.extract_tb(cause.__traceback__)
            if _inside(frame.filename, code_root)
        ]
        for frame in frames[-_MOST_FRAMES:]:
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _bounded(error: BaseException) -> str:
    """Return an exception's message on one line, truncated."""
    try:
        text = str(error)
    except Exception as fault:  # noqa: BLE001  the class is the author's
        text = f"its message cannot be read: {type(fault).__name__}"
    cut = text[:_MOST_CHARACTERS]
    return one_line(cut) + ("..." if len(cut) < len(text) else "")


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

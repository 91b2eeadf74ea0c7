"""Turns an unexpected exception into one problem, and writes a log file for the bug report."""

import platform
import sys
import tempfile
import traceback

from mealkit import __version__
from mealkit.errors import Problem, problem


def crash_problem(error: Exception) -> Problem:
    """Write the log and return the problem; the log contains no environment variables."""
    text = "".join(traceback.format_exception(error))
    lines = (
        f"mealkit {__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"arguments: {sys.argv[1:]}",
        text,
    )
    message = f"{type(error).__name__}: {error}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="mealkit-", suffix=".log", delete=False, encoding="utf-8"
        ) as log:
            log.write("\n".join(lines))
    except OSError:
        sys.stderr.write(text)
        return problem("INTERNAL", message)
    return problem("INTERNAL", message, where=log.name, hint="report it, with the log above")

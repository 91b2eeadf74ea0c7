"""The command line. Each verb has a file that parses, calls the pipeline once, and prints."""

import os
import sys


def main() -> None:
    """Run the verb that the arguments name, and exit with its code."""
    _open_streams()
    from mealkit.cli.program import app

    app(prog_name="mealkit")


def _open_streams() -> None:
    """Let a stream that the caller has closed (``>&-``) read and write nothing.

    Otherwise the next file that is opened would get its number, and what is printed.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))

"""Runs one command and writes what the operating system says of it: seconds, CPU, peak memory.

A process of its own because Linux starts a child's peak memory at its parent's: this one is small.
Standard library only; started with ``-I -S``.
"""

import json
import os
import sys
import time


def main(arguments: list[str]) -> int:
    """Run ``RESULT COMMAND...`` and write its figures to the file RESULT; return its exit code."""
    result, command = arguments[0], arguments[1:]
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    with open(result, "w") as out:  # noqa: PTH123  pathlib would cost memory
        figures = {
            "seconds": seconds,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
            "code": code,
        }
        json.dump(figures, out)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

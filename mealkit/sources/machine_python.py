"""Compiles Python files with a Python of this machine, without running them.

It runs isolated, with limits for memory and time, and gets the files as data.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from mealkit.names import one_line

_SECONDS = 20
_MOST_PROBLEMS = 50
# Isolated, without site, and without warnings: nothing of this machine is imported either.
_FLAGS = ("-I", "-S", "-W", "ignore")
_SCRIPT = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2 ** 31, 2 ** 31))
resource.setrlimit(resource.RLIMIT_CPU, (15, 15))
found = []
for path, text in json.load(sys.stdin).items():
    try:
        compile(text, path, "exec", dont_inherit=True)
    except SyntaxError as error:
        found.append([path, error.lineno or 1, error.msg or "it cannot be parsed"])
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        found.append([path, 1, "it cannot be compiled: " + type(error).__name__])
print(json.dumps(["%d.%d" % sys.version_info[:2], found]))
"""


Refused = tuple[str, int, str]
"""A file, the line that a Python refuses, and why."""


@cache
def interpreters(python: str) -> tuple[str, ...]:
    """Return the paths of this machine's Pythons of a version, such as ``3.13``."""
    if python == "{}.{}".format(*sys.version_info):
        return (sys.executable,)
    name = f"python{python}"
    return tuple(dict.fromkeys(str(path) for path in _places(python, name) if path.is_file()))


def _places(python: str, name: str) -> Iterator[Path]:
    home = Path.home()
    data = os.environ.get("XDG_DATA_HOME") or home / ".local" / "share"
    managed = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path(data) / "uv" / "python")
    versions = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv") / "versions"
    yield from sorted(managed.glob(f"cpython-{python}.*/bin/{name}"))
    yield from sorted(versions.glob(f"{python}.*/bin/{name}"))
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        if Path(folder).is_absolute():  # never one of the folder that this runs in
            yield Path(folder) / name


def compile_with(
    interpreter: str, texts: Mapping[str, str]
) -> tuple[str, Sequence[Refused]] | None:
    """Return a Python's version and the lines that it refuses; None if it cannot be run."""
    try:
        done = subprocess.run(
            [interpreter, *_FLAGS, "-c", _SCRIPT],
            input=json.dumps(texts).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            cwd="/",
            env={"LC_ALL": "C"},
        )
        version, found = json.loads(done.stdout)
        wrong = [
            (path, int(line), one_line(said[:200])) for path, line, said in found if path in texts
        ]
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired):
        return None
    return str(version), wrong[:_MOST_PROBLEMS]

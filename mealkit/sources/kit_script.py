"""Runs the script of a kit that makes what no index has; only if the user asked for it."""

import shutil
import subprocess
import sys
from pathlib import Path

from mealkit.errors import failure
from mealkit.kit.preparation import prepare_command


def run_kit_script(script: Path) -> None:
    """Run a script with bash, in its folder, on this machine; it writes to this process's stderr.

    It gets no input, and the environment of this process: its downloads need the settings of
    indexes and proxies.

    Raises:
        KitError: it does not end with 0, or bash is missing (``KIT_PREPARE``).
    """
    shell, again = shutil.which("bash"), prepare_command(script)
    if shell is None:
        message = f"{script} needs bash, which is not here"
        raise failure("KIT_PREPARE", message, hint=f"install bash, then: {again}")
    try:
        done = subprocess.run(
            [shell, script.name],
            cwd=script.parent,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            check=False,
        )
    except OSError as error:
        message = f"{script} cannot be run: {error.strerror}"
        raise failure("KIT_PREPARE", message, where=str(script), hint=again) from error
    if done.returncode:
        message = f"{script} ended with code {done.returncode}; the lines above are its own"
        hint = f"correct what they name, then: {again}"
        raise failure("KIT_PREPARE", message, where=str(script), hint=hint)

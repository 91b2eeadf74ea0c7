"""Asks systemd of this user to start and stop units: ``systemctl --user``, where it works."""

import shutil
import subprocess
from pathlib import Path

import platformdirs

_ANSWER_SECONDS = 30.0


def unit_folder() -> Path:
    """Return the folder in which a user keeps units: systemd.unit(5)."""
    return platformdirs.user_config_path() / "systemd" / "user"


def enable(unit: str) -> bool:
    """Start a unit now and with each session; return whether systemd did it."""
    return _systemctl("daemon-reload") and _systemctl("enable", "--now", unit)


def disable(unit: str) -> bool:
    """Stop a unit, and start it no more; return whether systemd did it."""
    return _systemctl("disable", "--now", unit)


def _systemctl(*arguments: str) -> bool:
    program = shutil.which("systemctl")
    if program is None:
        return False
    try:
        done = subprocess.run(
            [program, "--user", "--no-ask-password", *arguments],
            check=False,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

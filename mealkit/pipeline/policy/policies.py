"""Finds the policies of this machine, checks that no other user can change them, writes a new one.

Every policy that exists must accept an image. A policy that cannot be read refuses everything.
"""

import os
from importlib.resources import files
from pathlib import Path

import platformdirs

from mealkit.errors import MealkitError, failure
from mealkit.files.whole import write_whole
from mealkit.pipeline.ownership import require_own_files
from mealkit.trust.policy import POLICY_NAME

VARIABLE = "MEALKIT_POLICY"
MACHINE = Path("/etc/mealkit") / POLICY_NAME


def policy_paths() -> tuple[Path, ...]:
    """Return the policies that exist: the machine's, the user's, and the one of the environment.

    Raises:
        TrustError: ``POLICY_UNREADABLE``: the environment names a file that does not exist, or it
            cannot be known whether one exists.
    """
    found = [path for path in (MACHINE, _users()) if _exists(path)]
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named).expanduser().absolute()
        if not _exists(path):
            message = f"{VARIABLE} names {path}, which does not exist"
            raise failure("POLICY_UNREADABLE", message, where=VARIABLE)
        found.append(path)
    return tuple(dict.fromkeys(found))


def require_unchangeable(path: Path, *, must_exist: bool = True) -> None:
    """Raise if another user can change or replace a policy, or a file or folder that it names.

    Raises:
        TrustError: ``POLICY_UNREADABLE``.
    """
    try:
        if must_exist:
            path.stat()
        require_own_files(path)
    except MealkitError as error:
        message = f"another user can change {path}: {error.problems[0].message}"
        raise _unsafe(message, path) from error
    except OSError as error:
        raise _unsafe(f"{path} cannot be read: {error.strerror}", path) from error


def write_new_policy(path: Path) -> None:
    """Write a policy that explains its fields; it does not replace a file.

    Raises:
        KitError: ``OUTPUT_EXISTS``.
        StoreError: ``DISK_FULL``, ``DISK_DENIED``.
    """
    if path.exists():
        raise failure("OUTPUT_EXISTS", f"{path} already exists", where=str(path))
    write_whole(path, files("mealkit.trust").joinpath("new_policy.yaml").read_bytes())


def _users() -> Path:
    return platformdirs.user_config_path("mealkit") / POLICY_NAME


def _exists(path: Path) -> bool:
    """Return whether there is a file, or a link to one that is gone.

    Raises:
        TrustError: ``POLICY_UNREADABLE``: the folder cannot be searched.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unsafe(f"{path} cannot be read: {error.strerror}", path) from error
    return True


def _unsafe(message: str, path: Path) -> MealkitError:
    hint = f"correct owner and mode: chown root {path}; chmod 644 {path}"
    return failure("POLICY_UNREADABLE", message, hint=hint, where=str(path))

"""The folders for what kits record and must outlive their containers: usage, budgets, audit logs.

A folder belongs to the name under which a kit runs, so a new container of the same name goes on
where the last one has ended.
"""

from collections.abc import Mapping
from pathlib import Path

from mealkit.files.whole import disk_errors
from mealkit.paths import RECORDS
from mealkit.pipeline.home import Home
from mealkit.pipeline.ownership import make_own
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Operations, effective_ops

# The container's user is another one on this machine. Others cannot reach the folder, because the
# one around it is this user's alone.
_MODE = 0o777


def records_of(name: str, home: Home) -> Path:
    """Return the folder of a name; it may not exist."""
    return home.records / Path(name).name


def kept_records(
    name: str, lock: Lock, deployed: Operations | None, home: Home
) -> tuple[Path | None, Mapping[str, str]]:
    """Return the folder to mount for a kit that records anything, and the container's variable.

    The folder is created if necessary. A kit without prices, budgets and audit log needs none.

    Raises:
        StoreError: the folder cannot be created.
    """
    ops = effective_ops(lock.ops, deployed)
    if ops.cost is None and ops.audit is None:
        return None, {}
    make_own(home.records)
    folder = records_of(name, home)
    with disk_errors(folder, "the folder for the kit's records cannot be created"):
        folder.mkdir(exist_ok=True)
        folder.chmod(_MODE)
    return folder, {"MEALKIT_RECORDS": f"/{RECORDS}"}

"""Writes a new policy with comments, ready to edit."""

from importlib.resources import files
from pathlib import Path

from mealkit.errors import failure
from mealkit.files.whole import write_whole


def write_new_policy(path: Path) -> None:
    """Write a policy that explains its fields; it does not replace a file.

    Raises:
        KitError: ``OUTPUT_EXISTS``.
        StoreError: ``DISK_FULL``, ``DISK_DENIED``.
    """
    if path.exists():
        raise failure("OUTPUT_EXISTS", f"{path} already exists", where=str(path))
    write_whole(path, files("mealkit.trust").joinpath("new_policy.yaml").read_bytes())

"""Checks of what is to be mounted, before a container is made.

Refuses files that the container's user could not read: engines say so only when loading.
"""

from pathlib import Path

from mealkit.errors import failure


def check_readable(source: Path) -> None:
    """Refuse what a user other than its owner could not read.

    Raises:
        ContainerError: CLIENT_REFUSED, the file is missing or others may not read it.
    """
    try:
        mode = source.stat().st_mode
    except OSError as error:
        raise failure("CLIENT_REFUSED", f"{source} cannot be mounted: {error.strerror}") from error
    if not mode & 0o004:
        raise failure(
            "CLIENT_REFUSED",
            f"{source} cannot be read by the container's user (mode {mode & 0o777:04o})",
            hint=f"chmod o+r {source}",
        )

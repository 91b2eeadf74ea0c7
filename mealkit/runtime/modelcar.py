"""Lends the image's weights to another container, as KServe expects of a "modelcar".

For ``storageUri: oci://IMAGE``, KServe starts the image beside the model server and gives its
entry point one of two shell commands: a check before, and a link to this process's /models. The
image may have no shell, so the two are done here. Source: KServe, pkg/utils/storage.go.
"""

import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mealkit.paths import MODELS

# Kubernetes has turned KServe's $$$$ into $$ already, which is the process in a shell.
_LINK = re.compile(
    r"(?:mkdir -p \S+ && )?ln -sf? /proc/\$\$/root/models (?P<link>/\S+) && sleep infinity"
)
_CHECK = "echo 'Pre-fetching modelcar "


def modelcar_exit(arguments: Sequence[str], root: Path = Path("/")) -> int | None:
    """Do what KServe asks for, until the end of the pod; return the exit code.

    None: the arguments are not KServe's.
    """
    if len(arguments) != 3 or list(arguments[:2]) != ["sh", "-c"]:
        return None
    link = _LINK.fullmatch(arguments[2])
    if link is not None:
        return _lend(Path(link["link"]))
    if arguments[2].startswith(_CHECK):
        return _check(root / MODELS)
    return None


def _check(models: Path) -> int:
    is_there = models.is_dir() and any(models.iterdir())
    said = "has weights" if is_there else "is empty: a lean image has no weights"
    sys.stdout.write(f"/{MODELS} {said}\n")
    return 0 if is_there else 1


def _lend(link: Path) -> int:
    """Link to /models as this process sees it, and stay as long as the pod."""
    # Blocked first: a signal that comes between the link and the wait is not lost.
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    link.parent.mkdir(parents=True, exist_ok=True)
    # Replaced at once: the other container may be reading a link that a restart left.
    new = link.with_name(f".{link.name}.{os.getpid()}")
    with suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(f"/proc/{os.getpid()}/root/{MODELS}")
    new.replace(link)
    signal.sigwait(ends)
    return 0

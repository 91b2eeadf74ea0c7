"""The facts about a container client. The caller reads them: preflight does not call clients."""

from pathlib import Path

from mealkit.preflight.fact import Fact


class Client(Fact):
    """A container client: docker, podman, sandbox."""

    name: str
    problem: str | None
    """Why it does not work here; None if it works."""
    version: str | None = None
    """The version of its engine; None if it has no engine."""
    data_root: Path | None = None
    """The folder to which it unpacks images, if it is on this machine."""
    runtimes: tuple[str, ...] = ()
    """The OCI runtimes that it supports: runc, nvidia, ..."""
    cdi_folders: tuple[Path, ...] = ()
    """The folders with its CDI specs; empty: it does not support CDI."""

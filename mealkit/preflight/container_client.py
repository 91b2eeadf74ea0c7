"""What starts containers here. Who reads it hands it in: preflight knows no container client."""

from pathlib import Path

from mealkit.preflight.fact import Fact


class Client(Fact):
    """A container client: docker, podman, sandbox."""

    name: str
    problem: str | None
    """Why it cannot be used here; None if it can."""
    version: str | None = None
    """Its engine's version; None where there is no engine."""
    data_root: Path | None = None
    """Where it unpacks images, if that is on this machine."""
    runtimes: tuple[str, ...] = ()
    """The OCI runtimes that it knows: runc, nvidia, ..."""
    cdi_folders: tuple[Path, ...] = ()
    """Where it looks for CDI specs; empty: it does not speak CDI."""

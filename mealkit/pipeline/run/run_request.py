"""The options of a run, which tests and deployments share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mealkit.oci.descriptor import Platform
from mealkit.preflight.cpu import architecture
from mealkit.recipe.operations import Operations


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The options."""

    target: str
    client: str | None = None
    name: str | None = None
    port: int | None = None
    address: str = "127.0.0.1"
    keys: Path | None = None
    """The file with the hashes of the keys; if given, callers need one of the keys."""
    ops: Operations | None = None
    """The sections of ``ops`` that replace the kit's."""
    records: str | None = None
    """The name under which usage and audit log are kept; None: the container's."""
    origins: tuple[str, ...] = ()
    """The origins of pages that may call the kit from a browser."""
    embedded: bool = False
    architecture: str | None = None
    """The architecture of the image to run; None: this machine's, if the image has several."""
    timeout_seconds: float = 600.0
    overrides: Mapping[str, str] = field(default_factory=dict)
    """The reasons for overriding blocking findings of the preflight, by code."""
    allowed: tuple[Path, ...] = ()
    """Folders that may contain the kit's files, besides its own folder."""
    is_published: bool = True
    """Whether the kit gets a port of this machine; without one only mealkit asks it."""

    @property
    def platform(self) -> Platform:
        """The platform of the image to choose."""
        return Platform("linux", self.architecture or architecture())

"""Finds what passes GPUs to containers: NVIDIA's toolkit, and CDI specs.

CDI: https://github.com/cncf-tags/container-device-interface/blob/main/SPEC.md
"""

import re
import shutil
from pathlib import Path

from mealkit.preflight.fact import Fact
from mealkit.preflight.roots import Roots, read_text, why_unreadable

_PROGRAMS = ("nvidia-ctk", "nvidia-container-runtime", "nvidia-container-cli")
_SPECS = (".yaml", ".yml", ".json")


class CdiSpec(Fact):
    """A file that tells container engines how to pass a kind of device to a container."""

    path: Path
    kind: str | None
    """The kind of devices: nvidia.com/gpu, amd.com/gpu, ..."""


class Toolkit(Fact):
    """The ways to pass GPUs to containers on this machine."""

    programs: dict[str, str]
    """The programs of NVIDIA's toolkit that are on PATH, with their paths."""
    cdi: tuple[CdiSpec, ...]
    """The CDI specs in /etc/cdi and /var/run/cdi."""

    @property
    def installed(self) -> bool:
        """Whether NVIDIA's toolkit is on PATH."""
        return bool(self.programs)

    def describes(self, kind: str) -> bool:
        """Return whether a CDI spec describes devices of this kind (``nvidia.com/gpu``)."""
        return any(spec.kind == kind for spec in self.cdi)


def read_toolkit(roots: Roots) -> Toolkit:
    """Read the toolkit's programs and the CDI specs."""
    programs = {name: path for name in _PROGRAMS if (path := shutil.which(name))}
    specs: list[CdiSpec] = []
    unknown: dict[str, str] = {}
    for folder in (roots.etc / "cdi", roots.run / "cdi"):
        try:
            entries = sorted(folder.iterdir())
        except FileNotFoundError:
            continue
        except OSError as error:
            unknown["cdi"] = f"{folder}: {error.strerror}"
            continue
        specs += [_spec(path) for path in entries if path.suffix in _SPECS]
    return Toolkit(programs=programs, cdi=tuple(specs), unknown=unknown)


def _spec(path: Path) -> CdiSpec:
    # "kind" is at the top level, in YAML or JSON; the image has no YAML parser.
    found = re.search(r'^\s{0,4}"?kind"?:\s*["\']?([\w.-]+/[\w.-]+)', read_text(path), re.MULTILINE)
    unknown = {} if found else {"kind": why_unreadable(path)}
    return CdiSpec(path=path, kind=found[1] if found else None, unknown=unknown)

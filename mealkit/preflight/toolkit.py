"""What gives containers GPUs: NVIDIA's toolkit, and specs of the Container Device Interface (CDI).

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
    """A file that tells container engines how to hand on a kind of device."""

    path: Path
    kind: str | None
    """Whose devices: nvidia.com/gpu, amd.com/gpu, ..."""


class Toolkit(Fact):
    """How containers could get at GPUs here."""

    programs: dict[str, str]
    """NVIDIA's toolkit: the programs of it that are on PATH, and where."""
    cdi: tuple[CdiSpec, ...]
    """The CDI specs in /etc/cdi and /var/run/cdi."""

    @property
    def installed(self) -> bool:
        """Whether NVIDIA's toolkit is on PATH."""
        return bool(self.programs)

    def describes(self, kind: str) -> bool:
        """Tell whether a CDI spec describes devices of that kind (``nvidia.com/gpu``)."""
        return any(spec.kind == kind for spec in self.cdi)


def read_toolkit(roots: Roots) -> Toolkit:
    """Look for the toolkit's programs and for CDI specs."""
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
    # "kind" stands at the top level, in YAML's or in JSON's spelling; no YAML reader ships.
    found = re.search(r'^\s{0,4}"?kind"?:\s*["\']?([\w.-]+/[\w.-]+)', read_text(path), re.MULTILINE)
    unknown = {} if found else {"kind": why_unreadable(path)}
    return CdiSpec(path=path, kind=found[1] if found else None, unknown=unknown)

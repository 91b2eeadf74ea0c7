"""A checked kit with everything of its folder that its lock depends on, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from packaging.utils import canonicalize_name
from pydantic import JsonValue

from mealkit.digest import Digest
from mealkit.engines.engine import Recipe
from mealkit.kit.requirement_lines import required_name
from mealkit.lock.resolved_datasets import CurrentDatasets
from mealkit.lock.resolved_weights import CurrentWeights
from mealkit.recipe.data_profile import DataProfile
from mealkit.recipe.kit import Architecture, Kit, Task
from mealkit.recipe.locked_base import LockedBase


@dataclass(frozen=True, slots=True)
class PythonTarget:
    """The Python, architecture and glibc that wheels must support."""

    python: str
    architecture: str
    glibc: str


@dataclass(frozen=True, slots=True)
class KitParts:
    """A checked kit with the contents of its folder."""

    kit: Kit
    recipe: Recipe
    task: Task
    hyperparameters: Mapping[str, JsonValue]
    settings: Mapping[str, JsonValue]
    prompts: Mapping[str, str]
    code: Mapping[str, str]
    local_wheels: Mapping[str, Digest]
    gateway_requirements: tuple[str, ...]
    mealkit_version: str
    current: CurrentWeights | None = None
    """The weights, if local files differ from those in the lock."""
    current_datasets: CurrentDatasets = field(default_factory=CurrentDatasets)
    """The data sets whose local files differ from those in the lock."""
    current_bases: Mapping[str, LockedBase] = field(default_factory=dict)
    """Base images on this machine that differ from those in the lock, by architecture."""
    signers: Mapping[str, str] = field(default_factory=dict)
    """The publishers' keys and signatures in the kit's folder, by their paths."""
    case_files: Mapping[str, tuple[Digest, int]] = field(default_factory=dict)
    """Digest and size of the files of cases, by their paths in the kit's folder."""
    profile: DataProfile | None = None
    """The statistics of the data that the kit was made for."""
    gateway_bounds: tuple[str, ...] = ()
    """Versions that the gateway is tested with. They are not part of the request: a lock that was
    written with other bounds remains valid."""

    @property
    def requirements(self) -> tuple[str, ...]:
        """The Python packages that the engine imports for this kit, as its recipe names them."""
        return self.recipe.requirements_for(self.task, self.settings)

    @property
    def all_requirements(self) -> tuple[str, ...]:
        """Those, with the versions that the engine runs with, and the kit's own."""
        bounds = self.recipe.bounds_for(self.task, self.settings)
        return (*self.requirements, *bounds, *self.kit.runtime.requirements)

    @property
    def requested_packages(self) -> tuple[str, ...]:
        """The names of the packages that engine and kit ask for, sorted; also of local wheels."""
        asked = {required_name(line) for line in self.all_requirements}
        brought = {canonicalize_name(name.partition("-")[0]) for name in self.local_wheels}
        return tuple(sorted(asked | brought))

    @property
    def excludes(self) -> tuple[str, ...]:
        """The dependencies that are left out: the engine's, which no kit needs, and the kit's."""
        return (*self.recipe.excludes, *self.kit.runtime.exclude)

    @property
    def architecture(self) -> str:
        """The architecture that the image is built for; the first of several."""
        return self.kit.hardware.architectures[0].value

    def variants(self) -> "tuple[KitParts, ...]":
        """Split the kit into one kit per architecture, in a fixed order."""
        architectures = sorted(self.kit.hardware.architectures)
        if len(architectures) == 1:
            return (self,)
        return tuple(self._only(item) for item in architectures)

    def _only(self, architecture: Architecture) -> "KitParts":
        kit = self.kit
        hardware = kit.hardware.model_copy(update={"architectures": (architecture,)})
        # Only if the kit says so: if the Pythons of two architectures differ in their version, a
        # machine that cannot run both cannot build the image.
        runtime = kit.runtime.model_copy(update={"bytecode": bool(kit.runtime.bytecode)})
        own = kit.model_copy(update={"hardware": hardware, "runtime": runtime})
        return replace(self, kit=own)

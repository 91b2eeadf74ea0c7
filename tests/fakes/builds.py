"""A little lock and its inputs on disk, made without the pipeline: for tests of building."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from fakes.kits import FixedInputs, parts_of
from fakes.little import little_form, safetensors
from fakes.wheels import write_wheel
from mealkit.digest import Digest, digest_of_file
from mealkit.lock.kit_parts import PythonTarget
from mealkit.lock.resolve import resolve
from mealkit.recipe.kit import Kit
from mealkit.recipe.lock import Lock, LockedWheel, ModelShape
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.publisher_signature import LockedSignature


class LocalInputs(FixedInputs):
    """Inputs that lie on disk: weights and wheels are real files, the base is an image."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.paths: dict[Digest, Path] = {}

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        """Return the files on disk."""
        files = []
        for path in sorted((self.folder / "weights").iterdir()):
            found = digest_of_file(path)
            self.paths[found] = path
            files.append(
                LockedFile(
                    path=path.name,
                    sha256=found,
                    size_bytes=path.stat().st_size,
                    format="safetensors" if path.suffix == ".safetensors" else "json",
                    origins=(FolderOrigin(file=path.name),),
                )
            )
        return tuple(files), ModelShape()

    def dependents(
        self,
        names: Sequence[str],
        requirements: Sequence[str],
        packages: Sequence[LockedWheel],
        target: PythonTarget,
        *,
        excludes: Sequence[str],
    ) -> Mapping[str, tuple[str, ...]]:
        """Return the first package for every name."""
        return dict.fromkeys(names, (packages[0].name,))

    def signatures(self, kit: Kit, files: Sequence[LockedFile]) -> tuple[LockedSignature, ...]:
        return ()

    def packages(
        self, requirements: Sequence[str], excludes: Sequence[str], target: PythonTarget
    ) -> tuple[LockedWheel, ...]:
        """Write a wheel for each requirement."""
        wheels = []
        for name in sorted({item.split(">")[0].split("<")[0] for item in requirements}):
            path = write_wheel(
                self.folder / "wheels", name.replace("-", "_"), {f"{name}.py": b"\n"}
            )
            found = digest_of_file(path)
            self.paths[found] = path
            wheels.append(
                LockedWheel(
                    name=name,
                    version="1.0",
                    filename=path.name,
                    sha256=found,
                    size_bytes=path.stat().st_size,
                )
            )
        return tuple(wheels)


def little_lock(
    folder: Path, *, prompt: str = "query: {{ text }}\n", seed: int = 0
) -> tuple[Lock, dict[Digest, Path]]:
    """Write weights below ``folder`` and return the lock and the paths of its inputs."""
    weights = folder / "weights"
    if not weights.exists():
        weights.mkdir(parents=True)
        (weights / "model.safetensors").write_bytes(safetensors(400_000, seed))
        (weights / "config.json").write_bytes(b'{"hidden_size": 4}\n')
    inputs = LocalInputs(folder)
    lock = resolve(parts_of(little_form(), prompts={"query": prompt}), inputs)
    return lock, inputs.paths

"""A whole little kit on disk that locks and builds without any network: for tests of the verbs."""

import json
import struct
from pathlib import Path

from fakes.kits import FixedInputs, parts_of
from fakes.wheels import write_wheel
from mealkit.digest import Digest, digest_of_file
from mealkit.lock.model import Lock, LockedFile, LockedWheel, ModelShape
from mealkit.lock.origins import FolderOrigin
from mealkit.lock.resolve import resolve

FORM = {
    "apiVersion": "mealkit/v1",
    "name": "little",
    "version": "1.0.0",
    "license": "Apache-2.0",
    "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
    "model": {
        "name": "little-model",
        "license": "MIT",
        "weights": [{"source": "folder", "path": "weights", "files": ["*"]}],
    },
    "prompts": {"query": {"file": "prompts/query.jinja"}},
    "hyperparameters": {"pooling": "mean", "max_length": 256, "normalize": True},
    "runtime": {
        "engine": "onnx",
        "base": {"source": "image", "reference": "base.invalid/base:1"},
        "python": "3.13",
    },
}


def safetensors(count: int, seed: int = 0) -> bytes:
    """A valid safetensors file of that many float32 numbers (as many times 4 bytes)."""
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes([seed % 251]) * (count * 4)


class LocalInputs(FixedInputs):
    """Inputs that lie on disk: weights and wheels are real files, the base is an image."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.paths: dict[Digest, Path] = {}

    def weights(self, kit):
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

    def packages(self, requirements, excludes, target):
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


def little_lock(folder: Path, *, prompt: str = "query: {{ text }}\n", seed: int = 0):
    """Write weights below ``folder`` and return the lock and the paths of its inputs."""
    weights = folder / "weights"
    if not weights.exists():
        weights.mkdir(parents=True)
        (weights / "model.safetensors").write_bytes(safetensors(400_000, seed))
        (weights / "config.json").write_bytes(b'{"hidden_size": 4}\n')
    inputs = LocalInputs(folder)
    lock: Lock = resolve(parts_of(FORM, prompts={"query": prompt}), inputs)
    return lock, inputs.paths

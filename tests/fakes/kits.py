"""A small kit, its parts, and inputs that are the same everywhere."""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from mealkit.digest import Digest
from mealkit.engines.onnx.engine import RECIPE
from mealkit.lock.kit_parts import KitParts, PythonTarget
from mealkit.recipe.claims import LockedDataset
from mealkit.recipe.kit import Base, Kit, Task
from mealkit.recipe.lock import LockedWheel, ModelShape
from mealkit.recipe.locked_base import LockedBase, LockedDeb, LockedDebianBase, LockedImageBase
from mealkit.recipe.locked_file import LockedFile
from mealkit.recipe.origins import FolderOrigin
from mealkit.recipe.publisher_signature import LockedSignature

KIT: dict[str, Any] = {
    "apiVersion": "mealkit/v1",
    "name": "little",
    "version": "1.0.0",
    "description": "A little kit.",
    "license": "Apache-2.0",
    "paper": {
        "title": "A paper",
        "arxiv": "1908.10084",
        "doi": "10.1/x",
        "url": "https://a.invalid",
    },
    "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
    "model": {
        "name": "little-model",
        "license": "MIT",
        "task": "embeddings",
        "weights": [
            {
                "source": "folder",
                "path": "weights",
                "files": ["model.safetensors", "tokenizer.json"],
                "into": "little",
                "sha256": {"tokenizer.json": "ab" * 32},
                "mirrors": [{"source": "http", "url": "https://mirror.invalid/little"}],
            }
        ],
    },
    "prompts": {"query": {"file": "prompts/query.jinja", "description": "asks"}},
    "hyperparameters": {"pooling": "mean", "max_length": 256, "normalize": True},
    "runtime": {
        "engine": "onnx",
        "settings": {"threads": 1},
        "base": {"source": "debian", "suite": "trixie"},
        "python": "3.13",
        "requirements": ["numpy<3"],
        "wheels": [],
    },
    "hardware": {"gpu": "none", "memory": "1GiB", "disk": "auto", "architectures": ["amd64"]},
    "serving": {"port": 8000, "max_concurrency": 8},
}


def with_value(form: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A kit's data with another value at a dotted path."""
    changed = copy.deepcopy(form)
    at: Any = changed
    *parents, last = path.split(".")
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at[name]
    if isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value
    return changed


def kit_of(form: dict[str, Any]) -> Kit:
    return Kit.model_validate_json(json.dumps(form))


def parts_of(form: dict[str, Any], **changes: Any) -> KitParts:
    """The parts of a kit in JSON form; its prompts' texts are their names."""
    kit = kit_of(form)
    task = kit.model.task or Task.EMBEDDINGS
    values: dict[str, Any] = {
        "kit": kit,
        "recipe": RECIPE,
        "task": task,
        "hyperparameters": RECIPE.hyperparameters[task]
        .model_validate(dict(kit.hyperparameters))
        .model_dump(mode="json"),
        "settings": RECIPE.settings.model_validate(dict(kit.runtime.settings)).model_dump(
            mode="json"
        ),
        "prompts": {name: f"{prompt.file}\n" for name, prompt in kit.prompts.items()},
        "code": {path: f"# {path}\n" for path in kit.runtime.code},
        "local_wheels": {},
        "gateway_requirements": ("starlette",),
        "mealkit_version": "0.1.0",
    }
    return KitParts(**(values | changes))


def digest(text: str) -> Digest:
    return Digest.of(text.encode())


def locked_wheel(requirement: str) -> LockedWheel:
    name = re.sub(r"[^a-z0-9]+", "-", requirement.lower()).strip("-")
    return LockedWheel(
        name=name,
        version="1.0",
        filename=f"{name.replace('-', '_')}-1.0-py3-none-any.whl",
        sha256=digest(requirement),
        size_bytes=1000,
    )


class FixedInputs:
    """Inputs that depend only on what is asked; they count how often they are asked."""

    def __init__(self, salt: str = "") -> None:
        self.salt = salt
        self.asked: list[str] = []
        self.requirements: list[tuple[str, ...]] = []
        self.excludes: list[tuple[str, ...]] = []
        self.unquestioned: tuple[str, ...] = ()

    def weights(self, kit: Kit) -> tuple[tuple[LockedFile, ...], ModelShape]:
        self.asked.append("weights")
        files = [
            LockedFile(
                path=f"{item.into}/{name}" if item.into else name,
                sha256=digest(name + self.salt),
                size_bytes=2_000_000 if name.endswith(".safetensors") else 100,
                format="safetensors" if name.endswith(".safetensors") else "json",
                origins=(FolderOrigin(file=name),),
            )
            for item in kit.model.weights
            for name in item.files
        ]
        return tuple(files), ModelShape(parameters=10)

    def datasets(self, kit: Kit) -> Mapping[str, LockedDataset]:
        self.asked += [f"dataset {name}" for name in kit.datasets]
        return {
            name: LockedDataset(
                files=tuple(
                    LockedFile(
                        path=f"{name}/{file}",
                        sha256=digest(name + file + self.salt),
                        size_bytes=100,
                        format="text",
                        origins=(FolderOrigin(file=file),),
                    )
                    for file in sorted(entry.files)
                )
            )
            for name, entry in kit.datasets.items()
        }

    def signatures(self, kit: Kit, files: Sequence[LockedFile]) -> tuple[LockedSignature, ...]:
        return ()

    def packages(
        self, requirements: Sequence[str], excludes: Sequence[str], target: PythonTarget
    ) -> tuple[LockedWheel, ...]:
        self.asked.append("packages")
        self.requirements.append(tuple(requirements))
        self.excludes.append(tuple(excludes))
        names = sorted({re.split(r"[<>]", requirement)[0] for requirement in requirements})
        return tuple(locked_wheel(f"{name}{self.salt}") for name in names)

    def dependents(
        self,
        names: Sequence[str],
        requirements: Sequence[str],
        packages: Sequence[LockedWheel],
        target: PythonTarget,
        *,
        excludes: Sequence[str],
    ) -> Mapping[str, tuple[str, ...]]:
        self.asked.append("dependents")
        self.unquestioned = tuple(excludes)
        elsewhere = {"only-amd64", "only-arm64"} - {f"only-{target.architecture}"}
        needed = [
            name for name in names if name not in elsewhere and not name.startswith("needless")
        ]
        return dict.fromkeys(needed, (packages[0].name,))

    def base(self, base: Base, python: str, architecture: str) -> LockedBase:
        self.asked.append("base")
        if base.source == "image":
            return LockedImageBase(
                name="base", digest=digest(base.reference), size_bytes=5000, glibc=base.glibc
            )
        libc = LockedDeb(
            name="libc6",
            version="2.41-12",
            architecture=architecture,
            filename="pool/libc6.deb",
            sha256=digest(base.suite + python + architecture + self.salt),
            size_bytes=5000,
        )
        return LockedDebianBase(suite=base.suite, packages=(libc,))

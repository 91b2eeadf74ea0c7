"""A little kit on disk that locks and builds without any network, through the pipeline itself."""

import io
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from fakes.wheels import write_wheel
from mealkit.errors import Problem
from mealkit.oci.descriptor import LAYER
from mealkit.oci.image import BytesBlob, Image, Layer, image_of
from mealkit.oci.index import index_of
from mealkit.oci.tar import Entry, TarDirectory, TarFile, TarSymlink, write_tar
from mealkit.progress import Silent
from mealkit.stores.layout import write_layout

# What the engine and the gateway ask for; a kit's own wheels are taken before any index's.
_PACKAGES = (
    "onnxruntime",
    "tokenizers",
    "numpy",
    "starlette",
    "uvicorn",
    "h11",
    "nvidia_ml_py",
    "prometheus_client",
    "pydantic",
    "jinja2",
)
# The gateway takes no newer one of these.
_BOUNDED = {"uvicorn": "0.54.99"}

# uv asks no index where a kit brings all it needs.
OFFLINE = {"UV_NO_INDEX": "1", "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}


def safetensors(count: int, seed: int = 0) -> bytes:
    """A valid safetensors file of that many float32 numbers (as many times 4 bytes)."""
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [count], "data_offsets": [0, count * 4]}}
    ).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + bytes([seed % 251]) * (count * 4)


def base_of(*layers: Layer, architecture: str = "amd64") -> Image:
    """A base image of these layers."""
    config = {
        "architecture": architecture,
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/bin:/bin", "BASE=here"], "Cmd": ["/bin/sh"]},
    }
    return image_of(config, layers, {})


def layer_of(title: str, *entries: Entry) -> Layer:
    """An uncompressed layer."""
    out = io.BytesIO()
    write_tar(entries, out)
    blob = BytesBlob(out.getvalue())
    return Layer(LAYER, blob, blob.digest, title)


def little_base(text: str = "little") -> Image:
    """A base image of a few files: enough for a build, nothing that runs."""
    return base_of(
        layer_of(
            "base",
            TarDirectory("tmp", 0o1777),
            TarFile.of("etc/os-release", f"ID={text}\n".encode()),
            TarFile.of("usr/bin/tool", b"#!/bin/sh\n", 0o755),
            TarSymlink("bin", "usr/bin"),
        )
    )


def little_form(base: str = "oci:base", **changes: Any) -> dict[str, Any]:
    """A kit.yaml as data; ``changes`` replace top-level fields."""
    return {
        "apiVersion": "mealkit/v1",
        "name": "little",
        "version": "1.0.0",
        "license": "Apache-2.0",
        "owner": {"team": "cooks", "contact": "mailto:cooks@kitchen.invalid", "support": "at noon"},
        "model": {
            "name": "little-model",
            "license": "MIT",
            "task": "embeddings",
            "weights": [
                {"source": "folder", "path": "weights", "files": ["*.safetensors", "config.json"]}
            ],
        },
        "prompts": {"query": {"file": "prompts/query.jinja", "variables": ["text"]}},
        "hyperparameters": {"pooling": "mean", "max_length": 16, "normalize": True},
        "runtime": {
            "engine": "onnx",
            "base": {"source": "image", "reference": base},
            "python": "3.13",
            "wheels": ["wheels"],
        },
        "hardware": {"gpu": "none", "architectures": ["amd64"]},
        "serving": {"port": 8000, "max_concurrency": 8},
        **changes,
    }


def write_kit(folder: Path, form: dict[str, Any]) -> Path:
    """Write a kit.yaml (JSON is YAML too, but people write YAML)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kit.yaml").write_text(yaml.safe_dump(form, sort_keys=False))
    return folder


def edit_kit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a kit.yaml as an author would."""
    form = yaml.safe_load((folder / "kit.yaml").read_text())
    change(form)
    write_kit(folder, form)


def little_kit(
    folder: Path, *, weights_bytes: int = 1_600_000, base: str = "oci:base", **changes: Any
) -> Path:
    """Write a whole kit: weights, prompts, wheels for every package, and a base in a layout."""
    write_kit(folder, little_form(base, **changes))
    weights = folder / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(safetensors(weights_bytes // 4))
    (weights / "config.json").write_text(json.dumps({"hidden_size": 4, "model_type": "bert"}))
    (folder / "prompts").mkdir()
    (folder / "prompts" / "query.jinja").write_text("query: {{ text }}\n")
    for name in _PACKAGES:
        version = _BOUNDED.get(name, "99.0")
        write_wheel(folder / "wheels", name, {f"{name}.py": b"HERE = True\n"}, version=version)
    if base == "oci:base":
        write_layout(little_base(), folder / "base", "base:1")
    return folder


def bases_of_both() -> list[Image]:
    """A base image for amd64, and one for arm64."""
    return [
        base_of(layer_of("base", TarFile.of("etc/arch", name.encode())), architecture=name)
        for name in ("amd64", "arm64")
    ]


def little_pair(folder: Path) -> Path:
    """Write a whole kit for amd64 and arm64, on a base that has both."""
    hardware = {"gpu": "none", "architectures": ["amd64", "arm64"]}
    kit = little_kit(folder, base="oci:both", hardware=hardware)
    write_layout(index_of(bases_of_both(), {}), kit / "both", "base:1")
    return kit


def offline_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment of a mealkit process with its own home, and no network to ask."""
    return {**os.environ, **OFFLINE, "MEALKIT_HOME": str(home), **more}


def accept_every(*_asked: object) -> None:
    """Accept an image to pull, as a machine without a policy does."""


class Heard(Silent):
    """A progress that remembers phases and notices, and may act at a phase."""

    def __init__(self, act: Callable[[str], object] = lambda _: None) -> None:
        self.phases: list[str] = []
        self.notices: list[Problem] = []
        self._act = act

    def phase(self, title: str) -> None:
        self.phases.append(title)
        self._act(title)

    def notice(self, problem: Problem) -> None:
        self.notices.append(problem)

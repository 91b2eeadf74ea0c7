"""The formats in which models lie in registries as artifacts: CNCF ModelPack, KitOps, Docker's.

Values only: media types, annotations, and which files the layers of a manifest are. Raises
UntrustedError for a manifest that is not a model's, and for names that point outside. Sources:
model-spec's docs/spec.md and specs-go/v1 (ModelPack), KitOps' pkg/artifact, docker/model-spec.
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from mealkit.digest import canonical_json
from mealkit.names import path_fault
from mealkit.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD, Descriptor
from mealkit.oci.manifest import Manifest
from mealkit.untrusted import UntrustedError, parse_json_object, shown

MODELPACK = "application/vnd.cncf.model.manifest.v1+json"
"""The artifact type of a ModelPack."""
MODELPACK_CONFIG = "application/vnd.cncf.model.config.v1+json"

# The title is what CRI-O and oras name a file by; the path is what the specification defines.
TITLE = "org.opencontainers.image.title"
FILE_PATH = "org.cncf.model.filepath"
_METADATA = "org.cncf.model.file.metadata+json"
_UNTESTED = "org.cncf.model.file.mediatype.untested"

# The kinds of artifacts: of a manifest's artifact type or its config's type. CNAI is what ModelPack
# was called before it moved to the CNCF.
_MODELS = re.compile(
    r"application/vnd\.(?:(?:cncf|cnai)\.model|kitops\.modelkit|docker\.ai\.model)\.\S+"
)
_KITOPS_CONFIG = "application/vnd.kitops.modelkit.config.v1+json"
_LAYER_TYPE = re.compile(
    r"application/vnd\.(?:(?:cncf|cnai)\.model|kitops\.modelkit)\.[a-z.]+\.v1"
    r"\.(?P<form>raw|tar|gguf|safetensors)(?:\+(?P<compression>gzip|zstd))?"
)
# Docker's layers are not compressed. The names are those that its runner gives to such files.
_DOCKER_NAMES = {
    "application/vnd.docker.ai.gguf.v3": "model.gguf",
    "application/vnd.docker.ai.gguf.v3.lora": "adapter.gguf",
    "application/vnd.docker.ai.gguf.v3.mmproj": "mmproj.gguf",
    "application/vnd.docker.ai.mmproj": "mmproj.gguf",
    "application/vnd.docker.ai.safetensors": "model.safetensors",
    "application/vnd.docker.ai.dduf": "model.dduf",
    "application/vnd.docker.ai.license": "LICENSE",
    "application/vnd.docker.ai.chat.template.jinja": "template.jinja",
    "application/vnd.docker.ai.model.file": None,
}
_DOCKER_TARS = frozenset(
    {"application/vnd.docker.ai.dir.tar", "application/vnd.docker.ai.vllm.config.tar"}
)
_PLAIN_LAYERS = {None: LAYER, "gzip": LAYER_GZIP, "zstd": LAYER_ZSTD}


class Purpose(StrEnum):
    """What a file of a ModelPack is for; a part of its layer's media type."""

    WEIGHT = "weight"
    CONFIG = "weight.config"
    DOC = "doc"
    CODE = "code"


def raw_layer(purpose: Purpose) -> str:
    """Return the media type of a layer that is one file, as it is."""
    return f"application/vnd.cncf.model.{purpose}.v1.raw"


def file_annotations(path: str, size_bytes: int) -> dict[str, str]:
    """Return the annotations of a file's layer, the same on every machine and at any time."""
    metadata = {
        "name": path.rpartition("/")[2],
        "mode": 0o644,
        "uid": 0,
        "gid": 0,
        "size": size_bytes,
        "mtime": "1970-01-01T00:00:00Z",
        "typeflag": 0,  # a regular file, as modctl writes it
    }
    return {
        TITLE: path,
        FILE_PATH: path,
        _METADATA: canonical_json(metadata).decode(),
        _UNTESTED: "false",
    }


@dataclass(frozen=True, slots=True)
class ModelLayer:
    """A layer of a model's artifact: one file, or a tar of files."""

    descriptor: Descriptor
    name: str | None
    """The file's name; None: the layer is a tar, whose entries have names."""
    packing: str
    """The media type of an image's layer with the same compression."""

    @property
    def is_the_file(self) -> bool:
        """Whether the layer's bytes are the file's own, so that their digest is known."""
        return self.name is not None and self.packing == LAYER


@dataclass(frozen=True, slots=True)
class ModelLayers:
    """The layers of a model's artifact that can be read, and the types of the others."""

    layers: tuple[ModelLayer, ...]
    others: tuple[str, ...]


def model_layers(manifest: Manifest, config: Callable[[], bytes]) -> ModelLayers:
    """Return what the layers of a model's artifact are; ``config`` reads its config.

    Raises:
        UntrustedError: it is no model's artifact, a name points outside, or occurs twice.
        MealkitError: the config cannot be read.
    """
    if not _MODELS.fullmatch(manifest.kind) and not _MODELS.fullmatch(manifest.config.media_type):
        known = "a ModelPack, a ModelKit of KitOps or a model of Docker"
        raise UntrustedError(f"it is of type {shown(manifest.kind)}, not {known}")
    named = _kitfile_names(config()) if manifest.config.media_type == _KITOPS_CONFIG else {}
    layers: list[ModelLayer] = []
    others: list[str] = []
    for item in manifest.layers:
        layer = _model_layer(item, named)
        if layer is None:
            others.append(item.media_type)
        else:
            layers.append(layer)
    numbered = list(_numbered(layers))
    names = [layer.name for layer in numbered if layer.name is not None]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UntrustedError(f"it has the file {shown(twice)} twice")
    return ModelLayers(tuple(numbered), tuple(dict.fromkeys(others)))


def file_name(text: str) -> str:
    """Return the normalised name of a file in an artifact: ``./a//b`` is ``a/b``.

    Raises:
        UntrustedError: it is absolute, points outside, or has characters that hide something.
    """
    name = posixpath.normpath(text) if text else text
    fault = path_fault(name)
    if fault is not None:
        raise UntrustedError(f"it has a file named {shown(text)}: {fault}")
    return name


def _model_layer(item: Descriptor, named: Mapping[str, str]) -> ModelLayer | None:
    """Return a layer that can be read, or None."""
    if item.media_type in _DOCKER_TARS:
        return ModelLayer(item, None, LAYER)
    if item.media_type in _DOCKER_NAMES:
        name = _stated_name(item, named) or _DOCKER_NAMES[item.media_type]
        return ModelLayer(item, name, LAYER) if name else None
    found = _LAYER_TYPE.fullmatch(item.media_type)
    if found is None:
        return None
    packing = _PLAIN_LAYERS[found["compression"]]
    if found["form"] == "tar":
        return ModelLayer(item, None, packing)
    usual = None if found["form"] == "raw" else f"model.{found['form']}"
    name = _stated_name(item, named) or usual
    return ModelLayer(item, name, packing) if name else None


def _stated_name(item: Descriptor, named: Mapping[str, str]) -> str | None:
    stated = item.annotations.get(FILE_PATH) or item.annotations.get(TITLE)
    text = stated or named.get(item.digest)
    return file_name(text) if text else None


def _numbered(layers: list[ModelLayer]) -> Iterator[ModelLayer]:
    """Yield the layers, with names for the parts of a model that have none, as Docker does."""
    for usual in ("model.gguf", "model.safetensors"):
        parts = [
            index
            for index, layer in enumerate(layers)
            if layer.name == usual and not {FILE_PATH, TITLE} & set(layer.descriptor.annotations)
        ]
        stem, _, ending = usual.partition(".")
        for number, index in enumerate(parts, start=1):
            if len(parts) > 1:
                name = f"{stem}-{number:05d}-of-{len(parts):05d}.{ending}"
                layers[index] = replace(layers[index], name=name)
    yield from layers


def _kitfile_names(config: bytes) -> dict[str, str]:
    """Return the paths that a Kitfile gives to its layers, by the layers' digests."""
    form = parse_json_object(config)
    model = form.get("model")
    parts = [model, *_listed(model, "parts")] if isinstance(model, dict) else []
    for section in ("code", "datasets", "docs"):
        parts += _listed(form, section)
    return {
        part["digest"]: part["path"]
        for part in parts
        if isinstance(part.get("digest"), str) and isinstance(part.get("path"), str)
    }


def _listed(form: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = form.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

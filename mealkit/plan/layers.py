"""The plan: what the image will contain, as data. No bytes of inputs, only their digests.

Paths are absolute in the image, without a leading slash. Owners are 0:0 unless said otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mealkit.digest import Digest

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755
DIRECTORY_MODE = 0o755


class LayerKind(StrEnum):
    """What a layer is for; the order here is the order in the image, lowest first."""

    BASE = "base"
    ENGINE = "engine"
    WEIGHTS = "weights"
    GATEWAY = "gateway"
    KIT = "kit"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A verified input file, placed as it is."""

    path: str
    digest: Digest
    size_bytes: int
    mode: int = FILE_MODE


@dataclass(frozen=True, slots=True)
class TextFile:
    """A small file whose bytes are part of the plan: the lock, a prompt, mealkit's own modules."""

    path: str
    data: bytes
    mode: int = FILE_MODE


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory that must exist with its own mode and owner."""

    path: str
    mode: int = DIRECTORY_MODE
    owner_id: int = 0


@dataclass(frozen=True, slots=True)
class WheelTree:
    """Wheels unpacked into one package tree."""

    path: str
    wheels: tuple[tuple[str, Digest], ...]  # (file name, digest)


@dataclass(frozen=True, slots=True)
class DebianTree:
    """Debian packages unpacked into a root for a Python of this version."""

    debs: tuple[tuple[str, Digest], ...]  # (package name, digest)
    python: str


@dataclass(frozen=True, slots=True)
class Bytecode:
    """The compiled form of the layer's Python modules, made by the Python in these packages."""

    debs: tuple[tuple[str, Digest], ...]  # (package name, digest)
    python: str


Content = InputFile | TextFile | Folder | WheelTree | DebianTree | Bytecode


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer: what it is for, a sentence for an auditor, and what it contains."""

    kind: LayerKind
    title: str
    reason: str
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class ImageBase:
    """A base image whose layers are reused as they are."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What the image's config says of running it (OCI image-spec v1.1, config.md)."""

    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    working_directory: str
    exposed_port: int
    stop_signal: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole image. ``base`` is None when the base is one of the layers (Debian packages)."""

    base: ImageBase | None
    architecture: str
    layers: tuple[LayerPlan, ...]
    run: RunConfig
    annotations: Mapping[str, str]
    created_seconds: int = 0

"""The plan: the contents of the image as data. It has the digests of inputs, not their bytes.

Paths are absolute in the image, without a leading slash. The owner is 0:0 by default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mealkit.digest import Digest

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755
DIRECTORY_MODE = 0o755
SHARED_DIRECTORY_MODE = 0o775


class LayerKind(StrEnum):
    """The purpose of a layer. The order here is the order in the image, lowest first."""

    BASE = "base"
    ENGINE = "engine"
    WEIGHTS = "weights"
    GATEWAY = "gateway"
    TESTS = "tests"
    DATASETS = "datasets"
    KIT = "kit"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A verified input file, placed unchanged."""

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
    group_id: int = 0


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
    """The bytecode of the layer's Python modules, compiled by the Python in these packages."""

    debs: tuple[tuple[str, Digest], ...]  # (package name, digest)
    python: str


Content = InputFile | TextFile | Folder | WheelTree | DebianTree | Bytecode


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One layer: its purpose, a sentence for an auditor, and its contents."""

    kind: LayerKind
    title: str
    reason: str
    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class ImageBase:
    """A base image whose layers are reused unchanged."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The command that asks whether the container is ready, and how often it is run, in seconds.

    The specification reserves its field, ``Healthcheck``, and Docker reads it, also in OCI images.
    """

    command: tuple[str, ...]
    interval_seconds: int
    timeout_seconds: int
    start_seconds: int
    """How long after the start a failure does not count."""
    retries: int


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The part of the image's config about running it (OCI image-spec v1.1, config.md)."""

    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    working_directory: str
    exposed_port: int
    stop_signal: str
    health: HealthCheck
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

"""The formats in which models lie in registries as artifacts: CNCF ModelPack, KitOps, Docker's.

Values only: media types, annotations, and the files that the layers of a manifest are. Sources:
model-spec's docs/spec.md and specs-go/v1 (ModelPack), KitOps' pkg/artifact, docker/model-spec.
"""

from enum import StrEnum

from mealkit.digest import canonical_json

MODELPACK = "application/vnd.cncf.model.manifest.v1+json"
"""The artifact type of a ModelPack."""
MODELPACK_CONFIG = "application/vnd.cncf.model.config.v1+json"

# The title is what CRI-O and oras name a file by; the path is what the specification defines.
TITLE = "org.opencontainers.image.title"
FILE_PATH = "org.cncf.model.filepath"
_METADATA = "org.cncf.model.file.metadata+json"
_UNTESTED = "org.cncf.model.file.mediatype.untested"


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

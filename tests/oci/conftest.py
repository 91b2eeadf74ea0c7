"""Small images in memory."""

import gzip
from collections.abc import Callable

import pytest

from mealkit.digest import Digest, canonical_json
from mealkit.oci.descriptor import (
    DOCKER_CONFIG,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    LAYER,
    LAYER_GZIP,
)
from mealkit.oci.image import BytesBlob, Image, Layer, image_of
from mealkit.oci.tar import TarFile, tar_chunks


@pytest.fixture
def layer_of() -> Callable[..., Layer]:
    """Make a layer of one file, plain or gzipped."""

    def make(text: str, media_type: str = LAYER, times: int = 1) -> Layer:
        data = b"".join(tar_chunks([TarFile.of("file", text.encode() * times)]))
        blob = BytesBlob(data if media_type == LAYER else gzip.compress(data, mtime=0))
        return Layer(media_type, blob, Digest.of(data), f"add {text}")

    return make


@pytest.fixture
def oci_base(layer_of) -> Image:
    """A base as buildah and others make it."""
    config = {
        "architecture": "arm64",
        "variant": "v8",
        "os": "linux",
        "created": "2024-05-06T07:08:09Z",
        "config": {
            "Env": ["PATH=/usr/bin", "LANG=C"],
            "Cmd": ["/bin/sh"],
            "Labels": {"vendor": "base", "version": "base"},
            "ExposedPorts": {"80/tcp": {}},
        },
    }
    return image_of(config, (layer_of("base", LAYER_GZIP),), {"org.example.base": "yes"})


@pytest.fixture
def docker_base(layer_of) -> Image:
    """A base as `docker push` makes it: schema 2, with fields of the build container."""
    layer = layer_of("base", DOCKER_LAYER_GZIP)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-05-06T07:08:09.123456789Z",
        "docker_version": "20.10.24",
        "container": "0123456789abcdef",
        "container_config": {"Hostname": "0123456789ab", "Cmd": ["/bin/sh", "-c", "#(nop) ..."]},
        "config": {
            "Hostname": "0123456789ab",
            "Tty": False,
            "Env": ["PATH=/usr/bin"],
            "Cmd": ["bash"],
            "Image": "sha256:feed",
            "OnBuild": None,
            "Labels": None,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [
            {"created": "2024-05-06T07:08:08Z", "created_by": "ADD file"},
            {"created": "2024-05-06T07:08:09Z", "created_by": "CMD bash", "empty_layer": True},
        ],
    }
    raw_config = canonical_json(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": DOCKER_CONFIG,
            "digest": Digest.of(raw_config),
            "size": len(raw_config),
        },
        "layers": [layer.descriptor.as_json()],
    }
    return Image(canonical_json(manifest), raw_config, (layer,), DOCKER_MANIFEST)

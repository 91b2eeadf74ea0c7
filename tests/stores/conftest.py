"""Images made of real files, as a build makes them: a gzipped base, weights that stay, a kit."""

import gzip
import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mealkit.digest import Digest
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.oci.image import BytesBlob, Image, Layer, image_of
from mealkit.oci.tar import Entry, TarDirectory, TarFile, weight_footer, weight_header, write_tar
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.digests import DigestCache, HashJob
from mealkit.stores.local import LocalStore

CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "created": "1970-01-01T00:00:00Z",
    "config": {
        "User": "65532",
        "Env": ["A=1"],
        "Entrypoint": ["/bin/tool"],
        "Labels": {"dev.mealkit.kit": "test"},
    },
}


def tar_bytes(entries: list[Entry]) -> bytes:
    out = io.BytesIO()
    write_tar(entries, out)
    return out.getvalue()


def plain_layer(title: str, *entries: Entry) -> Layer:
    data = tar_bytes(list(entries))
    return Layer(LAYER, BytesBlob(data), Digest.of(data), title)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A file of three and a bit MiB that does not compress."""
    path = tmp_path / "inputs" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(os.urandom(3 * 1024 * 1024 + 77))
    return path


@pytest.fixture
def virtual_layer(tmp_path: Path) -> Callable[[Path], Layer]:
    """Make the layer of a weight file, without writing it."""
    cache = DigestCache(tmp_path / "digest-cache")

    def make(path: Path) -> Layer:
        size_bytes = path.stat().st_size
        head = weight_header(f"models/{path.name}", size_bytes)
        tail = weight_footer(size_bytes)
        (found,) = cache.digest_files([HashJob(path, head, tail)])
        blob = VirtualBlob(found.layer, head, path, found.key, tail, found.file)
        return Layer(LAYER, blob, found.layer, f"weights {path.name}", {"test.path": path.name})

    return make


@pytest.fixture
def make_image(virtual_layer, weights) -> Callable[..., Image]:
    """Make an image like a kit's: only the text in its top layer differs."""
    base = tar_bytes(
        [TarDirectory("tmp", 0o1777), TarFile.of("etc/os-release", b"ID=test\n" * 999)]
    )
    base_layer = Layer(LAYER_GZIP, BytesBlob(gzip.compress(base, mtime=0)), Digest.of(base), "base")
    weight_layer = virtual_layer(weights)

    def make(text: str = "hello", extra: tuple[Layer, ...] = ()) -> Image:
        kit = plain_layer("kit", TarFile.of("etc/mealkit/prompt.txt", text.encode()))
        layers = (base_layer, weight_layer, *extra, kit)
        return image_of(CONFIG, layers, {"org.opencontainers.image.title": "test"})

    return make


@pytest.fixture
def image(make_image) -> Image:
    """One such image."""
    return make_image()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """An empty local store, not yet on disk."""
    return LocalStore(tmp_path / "store")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2.5 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2560k", "mealkit-test", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)

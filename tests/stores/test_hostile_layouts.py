"""Layouts and archives of strangers: what they state is held against what they have."""

import gzip
import io
import json
import os
import tarfile

import pytest
from fakes.tars import (
    END,
    block,
    entry,
    image_with,
    layer_of_bytes,
    layout_of,
    packed_zeros,
    pax,
)

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.oci.image import Image
from mealkit.stores.archive import read_archive, write_archive
from mealkit.stores.layout import read_layout, write_layout
from mealkit.stores.registry.blob import RegistryBlob


def code_of(action):
    with pytest.raises(MealkitError) as error:
        action()
    return error.value.problems[0].code


TAR = entry(b"x", b"1") + END


@pytest.fixture
def image():
    return image_with([layer_of_bytes(TAR)])


def lying(image, change):
    """The image with a manifest that was changed, and says so with a right digest."""
    form = json.loads(image.raw_manifest)
    change(form)
    return Image(canonical_json(form), image.raw_config, image.layers)


@pytest.mark.parametrize("by", [-1, 1, 1 << 60])
@pytest.mark.parametrize("part", ["layer", "config"])
@pytest.mark.parametrize("form", ["layout", "archive"])
def test_a_size_that_is_not_the_blobs_is_refused(tmp_path, image, by, part, form):
    """A descriptor that says another size than its blob has is a lie, whichever way."""

    def change(manifest):
        described = manifest["layers"][0] if part == "layer" else manifest["config"]
        described["size"] += by

    wrong = lying(image, change)
    if form == "layout":
        write_layout(wrong, tmp_path / "image")
        assert code_of(lambda: read_layout(tmp_path / "image")) == "IMAGE_INVALID"
    else:
        write_archive(wrong, tmp_path / "image.tar")
        assert code_of(lambda: read_archive(tmp_path / "image.tar")) == "IMAGE_INVALID"


def test_a_size_of_a_manifest_that_is_a_lie_is_refused(tmp_path, image):
    """In the index, too."""
    write_layout(image, tmp_path / "image")
    index = json.loads((tmp_path / "image/index.json").read_bytes())
    index["manifests"][0]["size"] += 1
    (tmp_path / "image/index.json").write_bytes(canonical_json(index))
    assert code_of(lambda: read_layout(tmp_path / "image")) == "IMAGE_INVALID"


def test_layers_that_are_elsewhere_are_not_fetched(tmp_path, image):
    """Addresses in a descriptor are not followed; a foreign layer's type is none that is run."""

    def urls(manifest):
        manifest["layers"][0]["urls"] = ["http://127.0.0.1:1/layer"]

    def foreign(manifest):
        manifest["layers"][0]["mediaType"] = (
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        )

    write_layout(lying(image, urls), tmp_path / "urls")
    assert read_layout(tmp_path / "urls").layers[0].blob.size_bytes == len(TAR)
    write_layout(lying(image, foreign), tmp_path / "foreign")
    assert code_of(lambda: read_layout(tmp_path / "foreign")) == "IMAGE_INVALID"


def test_too_many_layers_and_endless_repetitions_are_refused(tmp_path):
    """Neither a thousand layers nor one that is unpacked a thousand times; small ones may repeat."""
    small = layer_of_bytes(TAR)
    large = layer_of_bytes(entry(b"x", bytes(100_000)) + END)
    layout_of(tmp_path / "many", [small] * 1001)
    layout_of(tmp_path / "same", [large] * 9)
    layout_of(tmp_path / "fine", [small] * 500 + [large] * 8)
    assert code_of(lambda: read_layout(tmp_path / "many")) == "IMAGE_INVALID"
    assert code_of(lambda: read_layout(tmp_path / "same")) == "IMAGE_INVALID"
    assert len(read_layout(tmp_path / "fine").layers) == 508


def test_a_history_of_millions_is_refused(tmp_path, image):
    """By its size or its number of values, before it is built."""
    for history in ([{}] * 300_000, [{"created_by": "x" * 100}] * 60_000):
        config = canonical_json({**image.config, "history": history})
        wrong = lying(
            image,
            lambda form, config=config: form["config"].update(
                digest=Digest.of(config), size=len(config)
            ),
        )
        folder = tmp_path / str(len(config))
        write_layout(Image(wrong.raw_manifest, config, wrong.layers), folder)
        assert code_of(lambda folder=folder: read_layout(folder)) == "IMAGE_INVALID"


def swap(path, make):
    path.unlink()
    make(path)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "socket"])
def test_what_is_no_file_is_not_waited_for(tmp_path, image, kind):
    """A FIFO, a device, a folder or a socket in place of any file of a layout, or as an archive."""
    import socket  # noqa: PLC0415

    sockets = []

    def make(path):
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "folder":
            path.mkdir()
        else:
            os.chdir(path.parent)  # the names of sockets are short
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind(path.name)

    here = os.getcwd()  # noqa: PTH109
    blobs = [image.digest, image.config_descriptor.digest, image.layers[0].blob.digest]
    try:
        names = ["oci-layout", "index.json", *(f"blobs/sha256/{digest.hex}" for digest in blobs)]
        for number, name in enumerate(names):
            folder = tmp_path / str(number)
            write_layout(image, folder)
            swap(folder / name, make)
            code = code_of(lambda folder=folder: read_layout(folder))
            assert code in {"IMAGE_NOT_FOUND", "BLOB_MISSING", "IMAGE_INVALID"}
        make(tmp_path / "archive.tar")
        code = code_of(lambda: read_archive(tmp_path / "archive.tar"))
        assert code in {"IMAGE_INVALID", "DISK_DENIED"}
    finally:
        os.chdir(here)
        for opened in sockets:
            opened.close()


def archived(tmp_path, data):
    (tmp_path / "image.tar").write_bytes(data)
    return lambda: read_archive(tmp_path / "image.tar")


def test_archives_of_others_are_read(tmp_path, image):
    """Python's tarfile and names that begin with ./ change nothing."""
    write_layout(image, tmp_path / "image")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(tmp_path / "image", ".")
    assert archived(tmp_path, out.getvalue())().digest == image.digest


INDEX_PATH = b"index.json"
ARCHIVES = {
    "nothing": b"",
    "zeros": bytes(1 << 20),
    "gzip": gzip.compress(TAR),
    "an index of gigabytes": block(INDEX_PATH, b"77777777777\0"),
    "an index beyond the end": block(INDEX_PATH, 5000) + b"{}",
    "an index that is a link": block(INDEX_PATH, 0, b"2", target=b"/etc/passwd") + END,
    "an index that is a device": block(INDEX_PATH, 0, b"3") + END,
    "a sparse index": pax(("GNU.sparse.major", b"1")) + entry(INDEX_PATH, b"{}") + END,
    "an old sparse index": entry(INDEX_PATH, b"{}", b"S") + END,
    "a size by pax alone": pax(("size", b"9" * 18)) + entry(INDEX_PATH, b"{}") + END,
    "long names of gigabytes": block(b"l", b"77777777777\0", b"L"),
    "entries without end": entry(b"x") * 100_001,
    "a blob beyond the end": block(b"blobs/sha256/" + b"0" * 64, b"%011o\0" % (1 << 30)),
}


@pytest.mark.parametrize("what", ARCHIVES)
def test_archives_that_lie_are_refused(tmp_path, what):
    """Whatever a tar claims, it is IMAGE_INVALID, and no more than its headers was read."""
    assert code_of(archived(tmp_path, ARCHIVES[what])) == "IMAGE_INVALID"


def test_a_layer_that_is_not_its_diff_id_is_not_kept(store, tmp_path):
    """What enters the store is unpacked once: the store is as before, and the blob is gone."""
    data = gzip.compress(TAR)
    for number, layer in enumerate(
        [
            layer_of_bytes(data, LAYER_GZIP, b"something else"),
            layer_of_bytes(data, LAYER_GZIP, data),
            layer_of_bytes(b"no gzip", LAYER_GZIP, TAR),
            layer_of_bytes(data[:-4], LAYER_GZIP, TAR),
            layer_of_bytes(TAR, LAYER, b"something else"),
            layer_of_bytes(packed_zeros(1 << 29), LAYER_GZIP, b""),
        ]
    ):
        folder = layout_of(tmp_path / str(number), [layer])
        found = read_layout(folder)
        assert code_of(lambda found=found: store.put(found, ["x:1"])) == "IMAGE_INVALID"
        assert store.blobs.find(layer.blob.digest) is None
    assert store.images() == []
    good = layer_of_bytes(data, LAYER_GZIP, TAR)
    store.put(read_layout(layout_of(tmp_path / "good", [good])), ["x:1"])
    assert store.resolve("x:1")


def test_space_for_an_image_is_asked_for_before_it_is_fetched(store):
    """A registry's layer of an exabyte ends with what is needed and free, and no request."""
    size = 1 << 60
    blob = RegistryBlob(Digest.of(b"x"), size, "x", ())
    layer = layer_of_bytes(b"x")
    from dataclasses import replace  # noqa: PLC0415

    image = image_with([replace(layer, blob=blob)])
    with pytest.raises(MealkitError) as error:
        store.put(image, ["x:1"])
    assert error.value.problems[0].code == "DISK_FULL"
    assert "1048576.0 TiB" in error.value.problems[0].message
    assert store.blobs.digests() == []

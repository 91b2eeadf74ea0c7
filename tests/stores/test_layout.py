"""Layouts and archives are read by other tools, and theirs by mealkit."""

import gzip
import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from mealkit.digest import Digest, canonical_json
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import INDEX, MANIFEST, Platform
from mealkit.oci.image import image_of
from mealkit.oci.validate import validate
from mealkit.stores.archive import read_archive, write_archive
from mealkit.stores.layout import read_layout, write_layout


def skopeo(*arguments: object) -> str:
    command = ["skopeo", "--insecure-policy", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def code_of(action) -> str:
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0].code


@pytest.fixture
def layout(tmp_path, image) -> Path:
    folder = tmp_path / "layout"
    write_layout(image, folder, "1.0")
    return folder


@pytest.fixture
def archive(tmp_path, image) -> Path:
    file = tmp_path / "image.tar"
    write_archive(image, file, "1.0")
    return file


def test_skopeo_inspects_a_layout_and_an_archive(layout, archive, image):
    """skopeo reads names, digest, platform and labels."""
    for where in (f"oci:{layout}:1.0", f"oci-archive:{archive}:1.0"):
        found = json.loads(skopeo("inspect", where))
        assert found["Digest"] == image.digest
        assert found["Architecture"] == "amd64"
        assert found["Labels"] == {"dev.mealkit.kit": "test"}
        assert found["Layers"] == [layer.blob.digest for layer in image.layers]


def test_skopeo_copies_without_changing_a_byte(layout, archive, image, tmp_path):
    """A copy by skopeo has the same digest, and mealkit reads it."""
    for number, where in enumerate((f"oci:{layout}:1.0", f"oci-archive:{archive}:1.0")):
        target = tmp_path / f"copy{number}"
        skopeo("copy", "--preserve-digests", where, f"oci:{target}:new")
        found = read_layout(target, "new")
        assert found.digest == image.digest
        assert validate(found) == []
        packed = tmp_path / f"copy{number}.tar"
        skopeo("copy", "--preserve-digests", where, f"oci-archive:{packed}:new")
        assert validate(read_archive(packed, "new")) == []
        assert read_archive(packed).digest == image.digest


def test_umoci_unpacks_a_layout(layout, tmp_path, weights):
    """umoci unpacks every layer; the weights are the original, byte for byte."""
    bundle = tmp_path / "bundle"
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    command = ["umoci", "unpack", *rootless, "--image", f"{layout}:1.0", str(bundle)]
    subprocess.run(command, check=True, capture_output=True)
    root = bundle / "rootfs"
    assert (root / "models" / weights.name).read_bytes() == weights.read_bytes()
    assert (root / "etc/mealkit/prompt.txt").read_text() == "hello"
    assert (root / "etc/os-release").read_text().startswith("ID=test")
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert not (root / "models" / weights.name).samefile(weights)


def test_weights_in_a_layout_are_no_link(layout, image, weights):
    """Whoever edits the layout does not edit the user's file."""
    assert weights.stat().st_nlink == 1
    blob = layout / "blobs/sha256" / image.layers[1].blob.digest.hex
    assert not blob.is_symlink()
    assert blob.stat().st_size == image.layers[1].blob.size_bytes


def test_weights_are_copied_to_another_file_system(image, tmp_path):
    """Where the kernel cannot copy between two disks by itself, the bytes are sent."""
    shared = Path("/dev/shm")  # noqa: S108
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        write_layout(image, Path(folder), None)
        assert validate(read_layout(Path(folder))) == []


def test_a_layout_takes_several_images(layout, make_image):
    """Images share blobs; a name moves to the image that was written last."""
    two = make_image("two")
    write_layout(two, layout, "2.0")
    assert read_layout(layout, "2.0").digest == two.digest
    assert code_of(lambda: read_layout(layout)) == "IMAGE_NOT_FOUND"
    three = make_image("three")
    write_layout(three, layout, "1.0")
    assert read_layout(layout, "1.0").digest == three.digest
    assert json.loads(skopeo("inspect", f"oci:{layout}:1.0"))["Digest"] == three.digest


def test_what_others_wrote_into_an_index_is_kept(layout, make_image):
    """Descriptors and fields that mealkit does not know survive."""
    index = json.loads((layout / "index.json").read_text())
    other = {
        "mediaType": "application/vnd.example+json",
        "digest": "sha256:" + "1" * 64,
        "size": 2,
        "artifactType": "application/vnd.example",
        "annotations": {"a": "b"},
    }
    index["manifests"].append(other)
    (layout / "index.json").write_text(json.dumps(index))
    write_layout(make_image("two"), layout, "2.0")
    assert other in json.loads((layout / "index.json").read_text())["manifests"]
    assert read_layout(layout, "1.0")


def test_a_write_that_was_killed_at_its_start_can_be_repeated(tmp_path, image):
    """What it left in a folder without any content is deleted; the folder becomes a layout."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / f".oci-layout.{gone.pid}-0123abcd.part").write_bytes(b"{")
    write_layout(image, tmp_path / "new")
    assert read_layout(tmp_path / "new").digest == image.digest
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["blobs", "index.json", "oci-layout"]


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, image, archive):
    """Neither a full folder nor a file is overwritten by a layout, nor a folder by an archive."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    for target in (tmp_path / "full", archive):
        assert code_of(lambda target=target: write_layout(image, target)) == "OUTPUT_EXISTS"
    assert code_of(lambda: write_archive(image, tmp_path / "full")) == "OUTPUT_EXISTS"
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    write_layout(image, tmp_path / "empty")
    assert validate(read_layout(tmp_path / "empty")) == []


def test_the_same_image_gives_the_same_archive(image, archive, tmp_path):
    """An archive has no times and one order."""
    write_archive(image, tmp_path / "again.tar", "1.0")
    assert archive.read_bytes() == (tmp_path / "again.tar").read_bytes()


def test_an_archive_is_replaced_only_by_a_whole_one(image, archive, weights):
    """When the new archive cannot be finished, the old one is still there."""
    before = archive.read_bytes()
    with weights.open("ab") as stream:
        stream.write(b"!")
    assert code_of(lambda: write_archive(image, archive, "2.0")) == "SOURCE_CHANGED"
    assert archive.read_bytes() == before
    assert not list(archive.parent.glob(".*"))


def test_what_is_not_a_layout_or_archive_is_refused(tmp_path, archive):
    """Each with its own words."""
    (tmp_path / "text").write_text("no tar")
    (tmp_path / "packed.tar").write_bytes(gzip.compress(archive.read_bytes()[:5000]))
    subprocess.run(["tar", "-cf", tmp_path / "other.tar", "-C", tmp_path, "text"], check=True)
    assert code_of(lambda: read_layout(tmp_path)) == "IMAGE_NOT_FOUND"
    assert code_of(lambda: read_layout(tmp_path / "text")) == "IMAGE_NOT_FOUND"
    assert code_of(lambda: read_archive(tmp_path / "nothing")) == "IMAGE_NOT_FOUND"
    assert code_of(lambda: read_archive(tmp_path)) == "DISK_DENIED"
    for name in ("text", "packed.tar", "other.tar"):
        assert code_of(lambda name=name: read_archive(tmp_path / name)) == "IMAGE_INVALID"


def test_a_missing_blob_is_named(layout, image):
    """The digest of what is missing is in the message."""
    digest = image.layers[0].blob.digest
    (layout / "blobs/sha256" / digest.hex).unlink()
    with pytest.raises(MealkitError, match=f"BLOB_MISSING: .*{digest}"):
        read_layout(layout)


def test_a_platform_is_chosen_from_an_index_in_the_index(layout, image):
    """Multi-platform images are followed; attestations of BuildKit are passed over."""
    arm = image_of({**image.config, "architecture": "arm64"}, image.layers, {})
    write_layout(arm, layout, "arm")
    forms = [
        {**image.descriptor.as_json(), "platform": {"os": "linux", "architecture": "amd64"}},
        {**arm.descriptor.as_json(), "platform": {"os": "linux", "architecture": "arm64"}},
        {
            "mediaType": MANIFEST,
            "digest": "sha256:" + "2" * 64,
            "size": 2,
            "platform": {"os": "unknown", "architecture": "unknown"},
        },
    ]
    inner = canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": forms})
    (layout / "blobs/sha256" / Digest.of(inner).hex).write_bytes(inner)
    top = {
        "mediaType": INDEX,
        "digest": Digest.of(inner),
        "size": len(inner),
        "annotations": {"org.opencontainers.image.ref.name": "multi"},
    }
    (layout / "index.json").write_bytes(canonical_json({"schemaVersion": 2, "manifests": [top]}))
    assert read_layout(layout, "multi", Platform("linux", "arm64")).digest == arm.digest
    assert read_layout(layout, None, Platform("linux", "amd64")).digest == image.digest
    assert code_of(lambda: read_layout(layout, "multi")) == "IMAGE_NOT_FOUND"
    with pytest.raises(MealkitError, match=r"no image for linux/s390x.*linux/amd64, linux/arm64"):
        read_layout(layout, "multi", Platform("linux", "s390x"))


@pytest.mark.docker
def test_docker_runs_what_a_layout_holds(layout, image):
    """The engine takes the image, padded weight header and all, and gives the weights back."""
    name = "mealkit-test-layout:1.0"
    skopeo("copy", f"oci:{layout}:1.0", f"docker-daemon:{name}")
    created = subprocess.run(
        ["docker", "create", name, "x"], check=True, capture_output=True, text=True
    )
    container = created.stdout.strip()
    try:
        exported = subprocess.run(
            ["docker", "cp", f"{container}:/models/model.safetensors", "-"],
            check=True,
            capture_output=True,
        )
        size = image.layers[1].blob.key.size_bytes
        assert exported.stdout[512 : 512 + size] == image.layers[1].blob.source.read_bytes()
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)

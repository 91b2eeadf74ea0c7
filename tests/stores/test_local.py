"""The local store keeps images whole through kills, races, full disks and changed sources."""

import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.peak import PEAK_KIB

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.image import BytesBlob, Layer
from mealkit.oci.validate import validate
from mealkit.stores.blobs import FileBlob, VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.upkeep import prune

# Puts images of random layers into a store, for ever or for some rounds.
WRITER = textwrap.dedent(
    """
    import io, os, sys
    from pathlib import Path
    from mealkit.digest import Digest
    from mealkit.oci.descriptor import LAYER
    from mealkit.oci.image import BytesBlob, Layer, image_of
    from mealkit.stores.local import LocalStore

    root, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
    store = LocalStore(root)
    print("started", flush=True)
    for number in range(rounds):
        layers = []
        for part in range(4):
            data = (seed or os.urandom(8)) * 100_000 + bytes([part, number % 256])
            layers.append(Layer("application/vnd.oci.image.layer.v1.tar", BytesBlob(data), Digest.of(data), ""))
        config = {"architecture": "amd64", "os": "linux"}
        told = lambda _: print("written", flush=True)
        store.put(image_of(config, tuple(layers), {}), [f"test:{number % 3}"], told)
    """
)


def writer(root: Path, rounds: int, seed: str = "", **options) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITER, str(root), str(rounds), seed]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def code_of(action) -> str:
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0].code


def disk_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def test_weights_stay_where_they_are(store, image, weights):
    """Storing an image takes a few KB besides its small layers, whatever its weights weigh."""
    store.put(image, ["test:1"])
    small = sum(layer.blob.size_bytes for layer in image.layers if layer.blob.size_bytes < 2**20)
    assert disk_bytes(store.root) < small + 16 * 1024
    assert isinstance(store.image("test:1").layers[1].blob, VirtualBlob)
    (listed,) = store.images()
    assert listed.stored_bytes < 32 * 1024
    assert listed.size_bytes > weights.stat().st_size
    assert listed.missing == ()


def test_an_image_is_found_by_name_digest_and_prefix(store, make_image):
    """All the ways in which people name an image lead to it; ambiguity is an error."""
    one, two = make_image("one"), make_image("two")
    store.put(one, ["test:1", "other/test:9"])
    store.put(two, ["test:2"])
    digest = one.digest
    for text in ("test:1", "other/test:9", "other/test", digest, digest.hex, digest.hex[:12]):
        assert store.image(text).digest == digest
    assert store.image(f"sha256:{digest.hex[:8]}").digest == digest
    assert store.image(f"test:1@{digest}").digest == digest
    assert code_of(lambda: store.image("test")) == "IMAGE_NOT_FOUND"
    for text in ("test:3", "nothing", "f" * 64, f"sha256:{'f' * 64}", f"test@sha256:{'f' * 64}"):
        assert code_of(lambda text=text: store.image(text)) == "IMAGE_NOT_FOUND"
    assert code_of(lambda: store.image("Not A Name")) == "REFERENCE_INVALID"


def test_an_empty_store_is_no_error(store):
    """Before the first image there is nothing, not even a folder."""
    assert store.images() == []
    assert code_of(lambda: store.image("test:1")) == "IMAGE_NOT_FOUND"
    assert prune(store).freed_bytes == 0
    assert not store.root.exists()


@pytest.mark.parametrize("name", ["test", "Test:1", "test:1@sha256:" + "0" * 64, "test:a b"])
def test_a_name_to_be_given_needs_a_tag(store, image, name):
    """A bad name is refused before anything is written."""
    assert code_of(lambda: store.put(image, [name])) == "REFERENCE_INVALID"
    assert not store.root.exists()


@pytest.mark.parametrize("text", ["sop", "sop:1.0", "soup:1.1"])
def test_a_mistyped_name_is_answered_with_the_nearest(store, image, text):
    """The name of the image that was probably meant."""
    store.put(image, ["soup:1.0"])
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND") as raised:
        store.resolve(text)
    assert "did you mean 'soup" in raised.value.problems[0].hint


def test_names_move_and_go(store, make_image):
    """A name belongs to the last image it was given to; an image outlives its name."""
    one, two = make_image("one"), make_image("two")
    store.put(one, ["test:1"])
    store.put(two, ["test:1"])
    assert store.image("test:1").digest == two.digest
    assert [item.names for item in store.images()] == [("test:1",), ()]
    store.tag(one.digest, "test:old")
    store.tag("test:1", "test:new")
    assert store.images()[0].names == ("test:1", "test:new")
    store.untag("test:new")
    assert code_of(lambda: store.untag("test:new")) == "IMAGE_NOT_FOUND"
    store.remove("test:old")
    assert [item.digest for item in store.images()] == [two.digest]
    store.remove(two.digest)
    assert store.images() == []


def test_a_short_blob_is_written_again(store, image):
    """What a crash of the machine may leave behind does not stay for ever."""
    store.put(image, ["test:1"])
    bad = store.root / "blobs/sha256" / image.layers[0].blob.digest.hex
    os.truncate(bad, 10)
    assert not store.layers.get("none")
    assert store.images()[0].missing
    store.put(image, ["test:1"])
    assert validate(store.image("test:1")) == []


def test_bytes_that_are_not_those_of_their_digest_are_refused(store, make_image, tmp_path):
    """A blob that lies about its digest never gets a name, and leaves nothing behind."""
    (tmp_path / "lie").write_bytes(b"12345")
    digest = Digest.of(b"54321")
    lie = Layer(
        "application/vnd.oci.image.layer.v1.tar", FileBlob(tmp_path / "lie", digest, 5), digest, ""
    )
    assert code_of(lambda: store.put(make_image(extra=(lie,)), ["test:1"])) == "BLOB_DAMAGED"
    assert store.images() == []
    assert not (store.root / "blobs/sha256" / digest.hex).exists()
    assert not list(store.root.rglob("*.part"))


def test_a_manifest_with_another_config_is_refused(store, image):
    """Manifest and config belong together."""
    assert (
        code_of(lambda: store.put(replace(image, raw_config=b"{}"), ["test:1"])) == "IMAGE_INVALID"
    )


def test_a_layer_is_remembered_as_long_as_its_blob_is_there(store, image, weights):
    """A rebuild gets its layers from their plan's key, unless the bytes are gone or changed."""
    store.put(image, ["test:1"])
    for number, layer in enumerate(image.layers):
        store.layers.put(f"plan {number}", layer)
    again = LocalStore(store.root)
    for number, layer in enumerate(image.layers):
        found = again.layers.get(f"plan {number}")
        assert (found.descriptor, found.diff_id) == (layer.descriptor, layer.diff_id)
        assert found.created_by == layer.created_by
    assert again.layers.get("plan 9") is None
    with weights.open("ab") as stream:
        stream.write(b"more")
    assert again.layers.get("plan 1") is None
    assert again.layers.get("plan 0") is not None
    next((store.root / "layers").glob("*.json")).write_text("{")
    store.remove("test:1")
    prune(store)
    assert [again.layers.get(f"plan {number}") for number in range(3)] == [None] * 3
    assert list((store.root / "layers").iterdir()) == []


def test_a_damaged_recipe_is_a_damaged_blob(store, image):
    """A recipe that cannot be read does not look like an image."""
    store.put(image, ["test:1"])
    next((store.root / "recipes/sha256").iterdir()).write_text("{}")
    assert code_of(lambda: store.image("test:1")) == "BLOB_DAMAGED"
    assert store.images()[0].missing == (image.layers[1].blob.digest,)
    store.put(image, ["test:1"])
    assert validate(store.image("test:1")) == []


def test_a_damaged_index_says_so(store, image):
    """What is not an index is refused, not overwritten."""
    store.put(image, ["test:1"])
    (store.root / "index.json").write_text('{"manifests": [{"digest": 1}]}')
    assert code_of(store.images) == "IMAGE_INVALID"
    assert code_of(lambda: store.put(image, ["test:1"])) == "IMAGE_INVALID"


def test_the_index_holds_no_times(store, image, tmp_path):
    """Two stores with the same images have the same index."""
    other = LocalStore(tmp_path / "other")
    for place in (store, other):
        place.put(image, ["b:1", "a:1"])
    assert (store.root / "index.json").read_bytes() == (other.root / "index.json").read_bytes()


def test_killed_at_any_point_the_store_works(tmp_path):
    """After kill -9 every image listed is whole, and the next write and prune succeed."""
    root, dice = tmp_path / "store", random.Random(7)
    for _ in range(25):
        process = writer(root, 10**6)
        assert process.stdout.readline() == "started\n"
        # What it has written by then is what is tried out.
        for _ in range(dice.randint(0, 12)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        store = LocalStore(root)
        for listed in store.images():
            assert listed.missing == ()
            assert validate(store.image(listed.digest)) == []
        prune(store)
        assert not list(root.glob(".*"))
    last = writer(root, 3, "whole")
    assert last.communicate()[1] == ""
    assert {name for item in LocalStore(root).images() for name in item.names} == {
        "test:0",
        "test:1",
        "test:2",
    }


@pytest.mark.parametrize("seed", ["same", ""])
def test_several_processes_put_at_once(tmp_path, seed):
    """The same image, or others under the same names: all succeed, and all is whole."""
    root = tmp_path / "store"
    processes = [writer(root, 6, seed) for _ in range(3)]
    for process in processes:
        assert process.communicate()[1] == ""
        assert process.returncode == 0
    store = LocalStore(root)
    assert sorted(name for item in store.images() for name in item.names) == [
        "test:0",
        "test:1",
        "test:2",
    ]
    for listed in store.images():
        assert validate(store.image(listed.digest)) == []
    assert not list(root.rglob("*.part"))


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    """A write that the system refuses half way leaves no blob and no temporary file."""
    root = tmp_path / "store"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))  # noqa: E731
    errors = writer(root, 1, preexec_fn=limit).communicate()[1]
    assert "DISK_FULL" in errors
    assert "File too large" in errors
    assert not list(root.rglob("*.part"))
    assert not list((root / "blobs/sha256").iterdir())
    assert LocalStore(root).images() == []


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of one MiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tiny", folder], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_without_room_is_noticed_before_writing(tiny_disk, make_image):
    """What is needed and what is free stand side by side."""
    data = os.urandom(2**21)
    large = Layer("application/vnd.oci.image.layer.v1.tar", BytesBlob(data), Digest.of(data), "")
    store = LocalStore(tiny_disk / "store")
    with pytest.raises(MealkitError, match=r"DISK_FULL: .* needs 2\.\d MiB more, .* are free"):
        store.put(make_image(extra=(large,)), ["test:1"])
    assert not list(tiny_disk.rglob("*.part"))


def test_a_disk_that_fills_up_while_writing_leaves_nothing(tiny_disk):
    """Bytes whose number is not known before may not fit; then none of them stay."""
    store = LocalStore(tiny_disk / "store")
    assert code_of(lambda: store.add(os.urandom(2**16) for _ in range(40))) == "DISK_FULL"
    assert not list(tiny_disk.rglob("*.part"))
    assert b"".join(map(bytes, store.add([b"small"]).chunks())) == b"small"


HEAVY = PEAK_KIB + textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from mealkit.oci.image import Layer, image_of
    from mealkit.oci.tar import weight_footer, weight_header
    from mealkit.stores.archive import read_archive, write_archive
    from mealkit.stores.blobs import VirtualBlob
    from mealkit.stores.digests import HashJob
    from mealkit.stores.layout import write_layout
    from mealkit.stores.local import LocalStore

    folder, source = Path(sys.argv[1]), Path(sys.argv[2])
    store = LocalStore(folder / "store")
    before = peak_kib()
    size_bytes = source.stat().st_size
    job = HashJob(source, weight_header("w", size_bytes), weight_footer(size_bytes))
    (found,) = store.digests.digest_files([job])
    blob = VirtualBlob(found.layer, job.head, source, found.key, job.tail, found.file)
    layer = Layer("application/vnd.oci.image.layer.v1.tar", blob, blob.digest, "")
    store.put(image_of({"architecture": "amd64", "os": "linux"}, (layer,), {}), ["test:1"])
    image = store.image("test:1")
    write_layout(image, folder / "layout", None)
    write_archive(image, folder / "archive.tar", None)
    LocalStore(folder / "other").put(read_archive(folder / "archive.tar"), ["test:1"])
    print(peak_kib() - before)
    """
)


def test_memory_stays_flat(tmp_path):
    """Weights are hashed, stored, exported and read back without being held in memory."""
    source = tmp_path / "big.gguf"
    with source.open("wb") as stream:
        stream.truncate(512 * 2**20)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", HEAVY, tmp_path, source]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert int(done.stdout) < 32 * 1024

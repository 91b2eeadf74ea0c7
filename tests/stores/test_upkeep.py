"""Upkeep frees what no image needs, and looks again at sources that moved."""

import pytest

from mealkit.errors import MealkitError
from mealkit.oci.validate import validate
from mealkit.stores.upkeep import Pruned, prune, refresh_sources


def code_of(action) -> str:
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0].code


def disk_bytes(root) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def test_a_store_that_is_not_there_is_not_made(store):
    """There is nothing to free."""
    assert prune(store) == Pruned(0, ())
    assert not store.root.exists()


def test_prune_frees_what_nothing_needs(store, make_image):
    """Blobs of images that are gone are deleted, those of others and shared ones stay."""
    one, two = make_image("one"), make_image("two")
    store.put(one, ["test:1"])
    only_one = disk_bytes(store.root)
    store.put(two, ["test:2"])
    (store.root / ".half.1-2.part").write_bytes(b"x" * 1000)
    (store.root / "recipes/sha256/.half.1-2.part").write_bytes(b"x" * 10)
    store.remove("test:2")
    assert prune(store).freed_bytes > 1010
    assert disk_bytes(store.root) == only_one
    assert validate(store.image("test:1")) == []
    store.remove("test:1")
    prune(store)
    assert list((store.root / "blobs/sha256").iterdir()) == []
    assert list((store.root / "recipes/sha256").iterdir()) == []


def test_prune_gives_up_images_without_a_name_unless_told_not_to(store, make_image):
    """An image that lost its name is kept until pruned, or longer on demand."""
    one, two = make_image("one"), make_image("two")
    store.put(one, ["test:1"])
    store.put(two, ["test:1"])
    prune(store, nameless=False)
    assert validate(store.image(one.digest)) == []
    prune(store)
    assert code_of(lambda: store.image(one.digest)) == "IMAGE_NOT_FOUND"
    assert validate(store.image("test:1")) == []


def test_prune_damaged_deletes_bad_blobs_and_a_put_heals(store, image):
    """A flipped byte costs one blob, which the next build writes again."""
    store.put(image, ["test:1"])
    bad = store.root / "blobs/sha256" / image.layers[-1].blob.digest.hex
    data = bytearray(bad.read_bytes())
    data[1000] ^= 1
    bad.write_bytes(data)
    assert prune(store).damaged == ()
    assert prune(store, damaged=True).damaged == (image.layers[-1].blob.digest,)
    assert store.images()[0].missing == (image.layers[-1].blob.digest,)
    assert code_of(lambda: store.image("test:1")) == "BLOB_MISSING"
    store.put(image, ["test:1"])
    assert validate(store.image("test:1")) == []


def test_prune_damaged_gives_up_an_image_whose_manifest_is_bad(store, make_image):
    """Without a manifest it cannot be known what the image was."""
    one, two = make_image("one"), make_image("two")
    store.put(one, ["test:1"])
    store.put(two, ["test:2"])
    (store.root / "blobs/sha256" / one.digest.hex).write_bytes(b"{}")
    assert code_of(lambda: prune(store)) == "BLOB_DAMAGED"
    assert {item.names: bool(item.missing) for item in store.images()} == {
        ("test:1",): True,
        ("test:2",): False,
    }
    prune(store, damaged=True)
    assert [item.names for item in store.images()] == [("test:2",)]


def test_prune_does_not_run_beside_a_writer(store, image):
    """Blobs that were just added and belong to no image yet are safe."""
    store.put(image, ["test:1"])
    with store.use():
        blob = store.add([b"new", b"er"])
        assert code_of(lambda: prune(store)) == "STORE_BUSY"
        assert b"".join(map(bytes, blob.chunks())) == b"newer"
    prune(store)
    assert not store.has(blob.digest)


def test_a_source_that_was_linked_or_copied_back_is_looked_at_again(store, image, weights):
    """The same bytes with other times are accepted after they were hashed; others are not."""
    store.put(image, ["test:1"])
    copy = weights.with_name("copy")
    copy.write_bytes(weights.read_bytes())
    copy.replace(weights)
    assert {item.code for item in validate(store.image("test:1"))} == {"SOURCE_CHANGED"}
    refresh_sources(store.image("test:1"), store)
    assert validate(store.image("test:1")) == []
    refresh_sources(store.image("test:1"), store, lambda _: pytest.fail("nothing to hash"))
    weights.write_bytes(bytes(weights.stat().st_size))
    assert code_of(lambda: refresh_sources(store.image("test:1"), store)) == "SOURCE_CHANGED"
    weights.unlink()
    assert code_of(lambda: refresh_sources(store.image("test:1"), store)) == "BLOB_MISSING"

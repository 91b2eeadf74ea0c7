"""Images of strangers: every verb ends soon, with little memory, and a problem that has a code."""

import gzip
import json

import pytest
from fakes.tars import (
    END,
    block,
    entry,
    image_with,
    layer_of_bytes,
    layout_of,
    measured,
    packed_zeros,
)

from mealkit.assembly.lean import LAYER_KIND
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.opening_images import open_image

KIT = {LAYER_KIND: "kit"}
LOCK = b"etc/mealkit/kit.lock"
MOST_MIB = 200


def code_of(action):
    with pytest.raises(MealkitError) as error:
        action()
    return error.value.problems[0].code


def kit_image(data, media_type=LAYER, plain=None):
    return image_with([layer_of_bytes(data, media_type, plain, KIT)])


@pytest.fixture
def lock(kit, build):
    """The lock of a real kit."""
    build(kit)
    return (kit / "kit.lock").read_bytes()


@pytest.mark.parametrize("verb", ["inspect", "diff", "run", "preflight"])
@pytest.mark.parametrize("media_type", [LAYER, LAYER_GZIP])
def test_a_kit_layer_that_is_a_bomb_takes_no_memory(tmp_path, verb, media_type):
    """A few MB of gzip that would be gigabytes: under a tar media type, and under gzip's own."""
    bomb = packed_zeros(3 << 30, entry(b"etc/", b"", b"5"))
    folder = layout_of(tmp_path / "image", [layer_of_bytes(bomb, media_type, b"", KIT)])
    target = f"oci:{folder}"
    code, out, err, most_mib = measured(
        tmp_path / "home", verb, target, *([target] if verb == "diff" else [])
    )
    assert most_mib <= MOST_MIB
    assert "Traceback" not in err
    if verb == "inspect":  # it shows what the image is, and no lock
        assert code == 0
        assert "recipe" not in out
    else:
        assert "IMAGE_INVALID" in err


def test_verifying_a_bomb_takes_no_memory_and_no_day(tmp_path):
    """Reading every byte of an image ends when a layer unpacks to what no real one does."""
    bomb = packed_zeros(3 << 30)
    folder = layout_of(tmp_path / "image", [layer_of_bytes(bomb, LAYER_GZIP, b"", KIT)])
    code, _, err, most_mib = measured(tmp_path / "home", "inspect", f"oci:{folder}", "--verify")
    assert (code, most_mib <= MOST_MIB) == (6, True)
    assert "IMAGE_INVALID" in err


def test_a_compressed_kit_layer_is_read(lock):
    """A tool that compressed the layers on the way changed nothing that matters."""
    data = entry(LOCK, lock) + END
    assert lock_of(kit_image(data)) == lock_of(kit_image(gzip.compress(data), LAYER_GZIP, data))


def test_other_entries_of_the_kit_layer_do_not_matter(lock):
    """Nothing is unpacked of it: a name that leads elsewhere is passed over."""
    others = entry(b"../" + LOCK, b"other") + block(b"dev", 0, b"3") + entry(b"./etc/x", b"1")
    assert lock_of(kit_image(others + entry(b"./" + LOCK, lock) + END)).about.name == "little"


LIES = {
    "no lock": entry(b"etc/x") + END,
    "nothing": b"",
    "gzip": gzip.compress(entry(LOCK, b"{}") + END),
    "a link": block(LOCK, 0, b"2", target=b"/etc/passwd") + END,
    "a folder": block(LOCK + b"/", 0, b"5") + END,
    "a device": block(LOCK, 0, b"3") + END,
    "a lock of gigabytes": block(LOCK, b"77777777777\0"),
    "a lock that is cut off": entry(LOCK, b"{}" * 500)[:700],
    "two locks": entry(LOCK, b"{}") + entry(b"./" + LOCK, b"{}") + END,
}


@pytest.mark.parametrize("what", LIES)
def test_a_kit_layer_without_one_whole_lock_is_refused(what):
    """The lock that is shown is the one that is unpacked, or there is none."""
    assert code_of(lambda: lock_of(kit_image(LIES[what]))) == "IMAGE_INVALID"


def test_a_lock_under_another_diff_id_or_digest_is_refused(lock, tmp_path):
    """What is read is held against both digests, also where nothing verified the layer before."""
    data = entry(LOCK, lock) + END
    assert code_of(lambda: lock_of(kit_image(data, LAYER, b"other"))) == "IMAGE_INVALID"
    layer = layer_of_bytes(data, LAYER, None, KIT)
    folder = layout_of(tmp_path / "image", [layer])
    blob = folder / "blobs/sha256" / layer.blob.digest.hex
    blob.write_bytes(data.replace(b'"name": "little"', b'"name": "riddle"'))
    from mealkit.pipeline.home import home_at  # noqa: PLC0415

    with open_image(f"oci:{folder}", home_at(tmp_path / "home")) as image:
        assert code_of(lambda: lock_of(image)) == "BLOB_DAMAGED"


def test_only_the_kit_layer_is_read(lock, tmp_path):
    """A gigabyte beside it is not looked at, and may be missing."""
    kit_layer = layer_of_bytes(entry(LOCK, lock) + END, LAYER, None, KIT)
    other = layer_of_bytes(b"weights")
    folder = layout_of(tmp_path / "image", [other, kit_layer])
    (folder / "blobs/sha256" / other.blob.digest.hex).write_bytes(b"WEIGHTS")
    code, out, _, _ = measured(tmp_path / "home", "inspect", f"oci:{folder}", "--json")
    assert code == 0
    assert json.loads(out)["lock"]["about"]["name"] == "little"

"""Validation finds every lie that an image can tell, and says nothing of a true one."""

import gzip
import io
import json
from dataclasses import dataclass, replace

import pytest

from mealkit.digest import Digest, canonical_json
from mealkit.oci.descriptor import LAYER, LAYER_GZIP, LAYER_ZSTD
from mealkit.oci.image import BytesBlob, Image, image_of, read_image
from mealkit.oci.validate import blob_problems, validate

BASE = {"architecture": "amd64", "os": "linux"}


@dataclass(frozen=True)
class Lie:
    """A blob whose bytes are not those it promises."""

    promised: BytesBlob
    data: bytes

    @property
    def digest(self) -> Digest:
        return self.promised.digest

    @property
    def size_bytes(self) -> int:
        return self.promised.size_bytes

    def chunks(self, offset=0, length=None):
        yield from (self.data[start : start + 7] for start in range(0, len(self.data), 7))


@pytest.fixture
def image(layer_of) -> Image:
    return image_of(BASE, (layer_of("a", LAYER_GZIP), layer_of("b")), {"k": "v"})


def codes(image: Image) -> list[str]:
    return [problem.code for problem in validate(image)]


def edited(image: Image, **changes) -> Image:
    """Change the config, and let the manifest tell of it."""
    raw_config = canonical_json({**image.config, **changes})
    manifest = json.loads(image.raw_manifest)
    manifest["config"] |= {"digest": Digest.of(raw_config), "size": len(raw_config)}
    return replace(image, raw_manifest=canonical_json(manifest), raw_config=raw_config)


def with_manifest(image: Image, **changes) -> Image:
    return replace(
        image, raw_manifest=canonical_json({**json.loads(image.raw_manifest), **changes})
    )


def test_a_true_image_has_no_problems(image, docker_base):
    """OCI and Docker images, plain and gzipped layers; all bytes of layers are told."""
    told = []
    assert validate(image, told.append) == []
    assert sum(told) == sum(layer.blob.size_bytes for layer in image.layers)
    assert validate(docker_base) == []


@pytest.mark.parametrize("number", [0, 1])
def test_wrong_bytes_are_damage(image, number):
    """A flipped, missing or additional byte in a layer is found, whatever the compression."""
    layer = image.layers[number]
    data = layer.blob.data
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for wrong in (bytes(flipped), data[:-1], data + b"\0", b""):
        layers = list(image.layers)
        layers[number] = replace(layer, blob=Lie(layer.blob, wrong))
        (problem,) = validate(replace(image, layers=tuple(layers)))
        assert problem.code == "BLOB_DAMAGED"
        assert layer.blob.digest in problem.message
        assert problem.where == layer.blob.digest


def test_all_problems_come_at_once(image):
    """One damaged layer does not hide the next."""
    layers = tuple(replace(layer, blob=Lie(layer.blob, b"")) for layer in image.layers)
    assert codes(replace(image, layers=layers)) == ["BLOB_DAMAGED", "BLOB_DAMAGED"]


@pytest.mark.parametrize("kind", [LAYER, LAYER_GZIP])
def test_a_wrong_diff_id_is_found(layer_of, kind):
    """The config's diff id must be that of the unpacked layer."""
    layer = replace(layer_of("a", kind), diff_id=Digest.of(b"else"))
    (problem,) = validate(image_of(BASE, (layer,), {}))
    assert problem.code == "IMAGE_INVALID"
    assert "should unpack to" in problem.message


def test_gzip_of_several_members_is_unpacked_whole(layer_of):
    """Parallel gzip writes members one after the other; they are one stream."""
    layer = layer_of("text " * 50_000)
    data = layer.blob.data
    members = b"".join(gzip.compress(data[at : at + 9999]) for at in range(0, len(data), 9999))
    packed = replace(layer, media_type=LAYER_GZIP, blob=BytesBlob(members))
    assert validate(image_of(BASE, (packed,), {})) == []


@pytest.mark.parametrize("broken", ["cut", "followed by junk", "plain"])
def test_gzip_that_is_cut_off_or_not_gzip_is_found(layer_of, broken):
    """A digest that is right does not make a stream whole."""
    layer = layer_of("a", LAYER_GZIP)
    data = layer.blob.data
    streams = {"cut": data[:-5], "followed by junk": data + b"junk", "plain": b"plain"}
    packed = replace(layer, blob=BytesBlob(streams[broken]))
    (problem,) = validate(image_of(BASE, (packed,), {}))
    assert problem.code == "IMAGE_INVALID"
    assert "truncated or does not have its media type" in problem.message


def test_a_bomb_is_unpacked_in_pieces(layer_of):
    """A layer that inflates a thousandfold is checked without holding it."""
    packed = io.BytesIO()
    data = b"".join(layer_of("\0", times=2**26).blob.chunks())
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream:
        stream.write(data)
    layer = replace(
        layer_of("x", LAYER_GZIP), blob=BytesBlob(packed.getvalue()), diff_id=Digest.of(data)
    )
    assert validate(image_of(BASE, (layer,), {})) == []


def test_a_zstd_layer_that_cannot_be_unpacked_is_said_to_be_unchecked(layer_of):
    """Where Python has no zstd, the digest is checked and the rest is owned up to."""
    layer = replace(layer_of("a"), media_type=LAYER_ZSTD)
    found = [problem.code for problem in validate(image_of(BASE, (layer,), {}))]
    try:
        import compression.zstd  # noqa: F401, PLC0415
    except ImportError:
        assert found == ["IMAGE_UNCHECKED"]
        broken = replace(layer, blob=Lie(layer.blob, b"short"))
        assert codes(image_of(BASE, (broken,), {})) == ["BLOB_DAMAGED", "IMAGE_UNCHECKED"]
    else:
        assert found == ["IMAGE_INVALID"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": ""}, "architecture is ''"),
        ({"os": None}, "os is None"),
        ({"history": [{"created_by": "x"}]}, "history has 1 layers"),
        ({"history": ["x"]}, "not a JSON object"),
        ({"rootfs": {"type": "else", "diff_ids": []}}, "2 layers, the config 0"),
        ({"rootfs": None}, "rootfs.diff_ids is not a list"),
        ({"rootfs": {"type": "layers", "diff_ids": ["sha256:1", "x"]}}, "diff id cannot be read"),
        ({"config": []}, None),
        ({"config": "text"}, "config's config is not an object"),
        ({"config": {"Env": ["A"]}}, "Env has the wrong type"),
        ({"config": {"Env": "A=1"}}, "Env has the wrong type"),
        ({"config": {"Cmd": "sh"}}, "Cmd has the wrong type"),
        ({"config": {"Entrypoint": [1]}}, "Entrypoint has the wrong type"),
        ({"config": {"Labels": {"a": 1}}}, "Labels has the wrong type"),
        ({"config": {"ExposedPorts": {"80/tcp": 1}}}, "ExposedPorts has the wrong type"),
        ({"config": {"User": 1}}, "User has the wrong type"),
        ({"config": {"Labels": None, "Cmd": None}}, None),
    ],
)
def test_a_config_of_the_wrong_form_is_found(image, changes, words):
    """Each field that runtimes read is held against the specification."""
    problems = validate(edited(image, **changes))
    assert {problem.code for problem in problems} <= {"IMAGE_INVALID"}
    assert (words is None) == (not problems)
    assert words is None or words in problems[0].message


def test_a_manifest_of_the_wrong_form_is_found(image):
    """So is each of the manifest's."""
    assert codes(with_manifest(image, schemaVersion=1)) == ["IMAGE_INVALID"]
    assert codes(with_manifest(image, mediaType="application/json")) == ["IMAGE_INVALID"]
    assert codes(with_manifest(image, annotations={"a": 1})) == ["IMAGE_INVALID"]
    assert codes(with_manifest(image, layers={})) == ["IMAGE_INVALID"]
    assert codes(with_manifest(image, config=None)) == ["IMAGE_INVALID"]
    assert codes(with_manifest(image, layers=json.loads(image.raw_manifest)["layers"][:1])) == [
        "IMAGE_INVALID"
    ]
    assert codes(replace(image, raw_manifest=b"[")) == ["IMAGE_INVALID"]
    assert codes(replace(image, raw_manifest=b"[" * 100_000)) == ["IMAGE_INVALID"]
    assert codes(replace(image, raw_config=b"[]")) == ["IMAGE_INVALID"]


def test_parts_that_contradict_each_other_are_found(image, layer_of):
    """Manifest, config and layers must tell of the same image."""
    other = image_of(BASE, (layer_of("c", LAYER_GZIP), layer_of("d")), {})
    assert codes(replace(image, raw_config=other.raw_config)) == ["IMAGE_INVALID"] * 2
    assert codes(replace(image, layers=other.layers)) == ["BLOB_MISSING"]
    assert codes(replace(image, layers=image.layers[::-1]))
    manifest = json.loads(image.raw_manifest)
    manifest["layers"][1]["size"] += 1
    assert codes(with_manifest(image, layers=manifest["layers"])) == ["IMAGE_INVALID"]
    manifest["config"]["size"] += 1
    assert codes(with_manifest(image, config=manifest["config"])) == ["IMAGE_INVALID"]


def test_a_layer_of_an_unknown_type_is_refused(image):
    """What mealkit cannot run, it does not call valid."""
    layers = json.loads(image.raw_manifest)["layers"]
    layers[0]["mediaType"] = "application/octet-stream"
    (problem,) = validate(with_manifest(image, layers=layers))
    assert "application/octet-stream" in problem.message


def test_a_single_blob_can_be_checked(image):
    """Stores check one blob at a time."""
    blob = image.layers[0].blob
    assert blob_problems(blob) == []
    assert [problem.code for problem in blob_problems(Lie(blob, b"x"))] == ["BLOB_DAMAGED"]


def test_reading_gives_the_image_back(docker_base, image):
    """An image is its bytes: reading them gives an equal value."""
    for one in (docker_base, image):
        blobs = {layer.blob.digest: layer.blob for layer in one.layers}
        again = read_image(
            one.raw_manifest, one.raw_config, lambda item, blobs=blobs: blobs[item.digest]
        )
        assert again == one or one is docker_base
        assert (again.media_type, again.digest) == (one.media_type, one.digest)

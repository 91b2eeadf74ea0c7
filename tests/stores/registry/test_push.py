"""Pushes to the real docker-registry, read back by independent programs."""

import json
import os
import random
import shutil
import subprocess

import docker
import pytest

from mealkit.digest import Digest, file_chunks
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob, image_of
from mealkit.oci.index import index_of
from mealkit.oci.reference import Reference
from mealkit.stores.registry.manifests import get_manifest
from mealkit.stores.registry.pull import RemoteImages
from mealkit.stores.registry.push import push
from mealkit.stores.registry.upload import Outcome

HELLO = {"config": {"Entrypoint": ["/hello"]}}


class FileBlob:
    """A blob that is a range of a file, as the local store's virtual blobs are."""

    def __init__(self, path, digest=None):
        self.path = path
        self.size_bytes = path.stat().st_size
        self.digest = digest or Digest.of(path.read_bytes())

    def chunks(self, offset=0, length=None):
        yield from file_chunks(self.path, offset, length)


def here(server, name, tag="1"):
    return Reference(server.host, name, tag)


def test_a_pushed_image_is_read_back_the_same(registry, registries, make_image):
    """What was pushed is read back byte for byte, lazily, with its labels and histories."""
    image = make_image({"a": b"1" * 3000}, {"b": b"2"}, gzipped=True)
    done = []
    report = push(image, here(registry, "same/again"), registries, advance=done.append)
    assert report.digest == image.digest
    assert {item.outcome for item in report.blobs} == {Outcome.UPLOADED}
    assert sum(done) == sum(item.size_bytes for item in report.blobs[:-1])
    found = RemoteImages(registries).image(here(registry, "same/again"))
    assert found.raw_manifest == image.raw_manifest
    assert found.raw_config == image.raw_config
    assert [layer.created_by for layer in found.layers] == ["layer 0", "layer 1"]
    assert [layer.diff_id for layer in found.layers] == [layer.diff_id for layer in image.layers]
    assert [b"".join(layer.blob.chunks()) for layer in found.layers] == [
        layer.blob.data for layer in image.layers
    ]


def test_an_unchanged_image_is_not_sent_again(registry, registries, make_image):
    """A second push sends no byte: HEAD requests are all it makes."""
    image = make_image({"a": os.urandom(5000)}, {"b": os.urandom(10)})
    push(image, here(registry, "unchanged"), registries)
    before = len(registry.requests())
    report = push(image, here(registry, "unchanged"), registries)
    assert report.sent_bytes == 0
    assert report.manifest is Outcome.EXISTING
    sent = registry.requests()[before:]
    assert {method for method, _, _ in sent} == {"HEAD"}
    assert len(sent) == 4


def test_one_changed_layer_is_all_that_is_sent(registry, registries, make_image):
    """A push after an edit uploads the changed layer, config and manifest."""
    weights = os.urandom(100_000)
    push(make_image({"w": weights}, {"p": b"one"}), here(registry, "edit"), registries)
    report = push(
        make_image({"w": weights}, {"p": b"two"}), here(registry, "edit", "2"), registries
    )
    assert [item.outcome for item in report.blobs[:-1]] == [Outcome.EXISTING, Outcome.UPLOADED]
    assert report.sent_bytes < 20_000


def test_layers_are_mounted_from_another_repository(registry, registries, make_image):
    """A layer that a named repository of the registry has is mounted, not sent."""
    image = make_image({"m": os.urandom(4000)}, {"n": os.urandom(4000)})
    push(image, here(registry, "mount/first"), registries)
    report = push(
        image,
        here(registry, "mount/second"),
        registries,
        mount_from=["mount/nowhere", "mount/second", "mount/first"],
    )
    assert {item.outcome for item in report.blobs[:-1]} == {Outcome.MOUNTED}


def test_a_base_is_mounted_from_where_it_was_read(registry, registries, make_image):
    """Layers that were read from the same registry are mounted without being asked for."""
    base = make_image({"base": os.urandom(4000)})
    push(base, here(registry, "base/own"), registries)
    read = RemoteImages(registries).image(here(registry, "base/own"))
    report = push(read, here(registry, "base/user"), registries)
    assert [item.outcome for item in report.blobs[:-1]] == [Outcome.MOUNTED]


def test_a_base_is_carried_over_from_another_registry(
    registry, mortal_registry, registries, make_image
):
    """Layers of another registry are streamed from there."""
    base = make_image({"base": os.urandom(300_000)})
    push(base, here(mortal_registry, "carried"), registries)
    read = RemoteImages(registries).image(here(mortal_registry, "carried"))
    report = push(read, here(registry, "carried"), registries)
    assert [item.outcome for item in report.blobs[:-1]] == [Outcome.UPLOADED]
    assert RemoteImages(registries).resolve(here(registry, "carried")).digest == base.digest


def test_the_same_layer_twice_is_sent_once(registry, registries, make_image):
    """An image that has a layer twice uploads it once and reports it twice."""
    image = make_image({"x": os.urandom(2000)}, {"y": b"y"}, {"x": b""})
    doubled = make_image(*(layer.blob.data for layer in (*image.layers, image.layers[0])))
    before = len(registry.requests())
    done = []
    report = push(doubled, here(registry, "twice"), registries, advance=done.append)
    assert len(report.blobs[:-1]) == 4
    assert sum(done) == sum(item.size_bytes for item in report.blobs[:-1])
    sent = [path for method, path, _ in registry.requests()[before:] if method == "PUT"]
    assert len(sent) == 5  # three layers, config, manifest


def test_a_digest_in_the_reference_must_be_the_images(registry, registries, make_image):
    """A reference with a digest takes exactly that image."""
    image = make_image({"d": b"d"})
    wrong = Reference(registry.host, "digest", None, Digest.of(b"another"))
    with pytest.raises(MealkitError, match="REFERENCE_INVALID"):
        push(image, wrong, registries)
    right = Reference(registry.host, "digest", None, image.digest)
    assert push(image, right, registries).digest == image.digest
    assert RemoteImages(registries).image(right).digest == image.digest


def test_a_reference_without_a_registry_is_refused(registries, make_image):
    """A name of the local store is not somewhere to push to."""
    with pytest.raises(MealkitError, match="names no registry"):
        push(make_image({"d": b"d"}), Reference.parse("kit:1"), registries)


def test_a_file_that_changed_is_named_as_such(registry, registries, make_image, tmp_path):
    """A source that changed its bytes is SOURCE_CHANGED, and the registry keeps nothing."""
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(200_000))
    blob = FileBlob(path)
    image = make_image(blob)
    path.write_bytes(os.urandom(200_000))
    with pytest.raises(MealkitError) as caught:
        push(image, here(registry, "changed"), registries)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"
    with pytest.raises(MealkitError, match="IMAGE_NOT_FOUND"):
        RemoteImages(registries).image(here(registry, "changed"))


@pytest.mark.parametrize("size_bytes", [199_999, 200_001, 0])
def test_a_file_that_shrank_or_grew_is_named_as_such(
    registry, registries, make_image, tmp_path, size_bytes
):
    """A source that ends elsewhere is SOURCE_CHANGED; growth after the range does not matter."""
    path = tmp_path / "weights"
    path.write_bytes(bytes(200_000))
    blob = FileBlob(path)
    path.write_bytes(bytes(size_bytes) + b"")
    image = make_image(blob)
    if size_bytes > blob.size_bytes:
        assert push(image, here(registry, f"grown{size_bytes}"), registries)
        return
    with pytest.raises(MealkitError) as caught:
        push(image, here(registry, f"shrunk{size_bytes}"), registries)
    assert caught.value.problems[0].code == "SOURCE_CHANGED"


def test_a_registry_killed_half_way_is_pushed_to_again(
    mortal_registry, registries, make_image, tmp_path
):
    """A registry that dies during an upload and comes back gets the whole image."""
    path = tmp_path / "weights"
    path.write_bytes(random.Random(1).randbytes(24 * 1024 * 1024))
    image = make_image(FileBlob(path))
    state = {"done": 0, "killed": False}

    def advance(count):
        state["done"] += count
        if state["done"] > 8 * 1024 * 1024 and not state["killed"]:
            state["killed"] = True
            mortal_registry.kill()
            mortal_registry.start()

    report = push(image, here(mortal_registry, "killed"), registries, advance=advance)
    assert state["killed"]
    assert state["done"] == report.blobs[:-1][0].size_bytes
    assert mortal_registry.blob_path(image.layers[0].blob.digest).read_bytes() == path.read_bytes()


def test_a_registry_that_stays_dead_is_unreachable(mortal_registry, registries, make_image, waits):
    """A registry that does not come back is a problem after a bounded number of tries."""
    mortal_registry.kill()
    with pytest.raises(MealkitError) as caught:
        push(make_image({"a": b"a"}), here(mortal_registry, "dead"), registries)
    assert caught.value.problems[0].code == "REGISTRY_UNREACHABLE"
    assert mortal_registry.host in caught.value.problems[0].message
    assert 0 < len(waits) < 10


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
def test_skopeo_reads_a_push_with_the_same_digest(registry, registries, make_image, tmp_path):
    """skopeo copies the pushed image into a layout, and the digest is kept."""
    image = make_image({"a": os.urandom(10_000)}, {"b": b"b"})
    push(image, here(registry, "skopeo"), registries)
    source = f"docker://{here(registry, 'skopeo')}"
    target = tmp_path / "layout"
    command = ["skopeo", "--insecure-policy", "copy", "--preserve-digests"]
    subprocess.run(
        [*command, "--src-tls-verify=false", source, f"oci:{target}:x"],
        check=True,
        capture_output=True,
    )
    index = json.loads((target / "index.json").read_text())
    assert [item["digest"] for item in index["manifests"]] == [image.digest]


@pytest.mark.docker
def test_docker_pulls_and_runs_a_push(registry, registries, make_image, static_program):
    """The Docker engine pulls the pushed image by digest and runs it."""
    word = f"hello {os.urandom(4).hex()}"
    image = make_image({"hello": static_program}, {"greeting": word.encode()}, **HELLO)
    push(image, here(registry, "runs"), registries)
    client = docker.from_env()
    name = f"{registry.host}/runs@{image.digest}"
    try:
        client.images.pull(f"{registry.host}/runs", tag=image.digest)
        assert client.containers.run(name, remove=True).decode().strip() == word
    finally:
        client.images.remove(name, force=True)
        client.close()


def test_basic_credentials_are_used(registry_with_password, make_registries, make_image):
    """A registry with passwords takes the push of who knows it, and says who does not."""
    image = make_image({"a": b"a"})
    target = here(registry_with_password, "basic")
    auths = {target.registry: {"username": "cook", "password": "not-a-real-secret"}}
    assert push(image, target, make_registries(auths)).sent_bytes
    for wrong in ({}, {target.registry: {"username": "cook", "password": "w-r-o-n-g"}}):
        with pytest.raises(MealkitError) as caught:
            push(image, target, make_registries(wrong))
        problem = caught.value.problems[0]
        assert problem.code == "REGISTRY_DENIED"
        assert problem.hint == f"mealkit login {target.registry}"
        assert "w-r-o-n-g" not in str(problem)


@pytest.mark.parametrize("kind", ["password", "identity"])
def test_tokens_are_fetched_for_push_and_mount(
    registry_with_tokens, token_server, make_registries, make_image, kind
):
    """Tokens name what they are for, are fetched once for each purpose, and allow mounts."""
    secret = {"password": "not-a-real-secret"}
    if kind == "identity":
        secret = {"auth": "Y29vazo=", "identitytoken": "not-a-real-secret"}
    target = here(registry_with_tokens, f"tokens/{kind}")
    registries = make_registries({target.registry: {"username": "cook", **secret}})
    image = make_image({"a": os.urandom(100)}, {"b": os.urandom(100)}, {"c": os.urandom(100)})
    token_server.asked.clear()
    push(image, target, registries)
    assert [item["scope"] for item in token_server.asked] == [
        [f"repository:tokens/{kind}:pull,push"]
    ]
    other = here(registry_with_tokens, f"tokens/{kind}-other")
    report = push(image, other, registries, mount_from=[f"tokens/{kind}"])
    assert {item.outcome for item in report.blobs[:-1]} == {Outcome.MOUNTED}
    assert len(token_server.asked) == 3


def test_an_anonymous_token_reads_and_does_not_write(
    registry_with_tokens, token_server, make_registries, make_image
):
    """Without credentials an anonymous token is enough to pull, and not to push."""
    target = here(registry_with_tokens, "tokens/public")
    auths = {target.registry: {"username": "cook", "password": "not-a-real-secret"}}
    image = make_image({"a": b"a"})
    push(image, target, make_registries(auths))
    assert RemoteImages(make_registries()).image(target).digest == image.digest
    changed = make_image({"a": b"changed"})
    with pytest.raises(MealkitError) as caught:
        push(changed, target, make_registries())
    assert caught.value.problems[0].code == "REGISTRY_DENIED"
    assert "without credentials" in caught.value.problems[0].message


def test_an_empty_layer_is_pushed(registry, registries, make_image):
    """A blob without any byte is uploaded too."""
    image = make_image(BytesBlob(b""))
    report = push(image, here(registry, "empty"), registries)
    assert report.blobs[:-1][0].outcome is Outcome.UPLOADED


def test_an_index_is_pushed_after_its_images(registry, registries, make_image):
    """An index comes back by its tag, each image by its platform; annotations are kept."""
    amd64 = make_image({"a": os.urandom(2000)})
    arm64 = image_of({**amd64.config, "architecture": "arm64"}, amd64.layers, {})
    both = index_of([amd64, arm64], {"dev.mealkit.kit": "k:1"})
    report = push(both, here(registry, "both"), registries)
    assert report.digest == both.digest
    assert push(both, here(registry, "both"), registries).manifest is Outcome.EXISTING
    remote = RemoteImages(registries)
    for image in (amd64, arm64):
        assert remote.image(here(registry, "both"), image.platform).digest == image.digest
    with pytest.raises(MealkitError, match="2 images, expected one"):
        remote.image(here(registry, "both"))
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false"]
    raw = subprocess.run(
        [*command, f"docker://{registry.host}/both:1"], check=True, capture_output=True
    ).stdout
    assert raw == both.raw_manifest


def test_an_artifact_is_pushed_and_fetched(registry, registries, make_image):
    """A statement about an image is a manifest of its own type, found by its digest."""
    image = make_image({"a": os.urandom(100)})
    push(image, here(registry, "about"), registries)
    kind = "application/vnd.example.statement"
    blob = BytesBlob(os.urandom(50))
    made = artifact_of(kind, [Attachment("text/plain", blob, {})], subject=image.descriptor)
    push(made, Reference(registry.host, "about", digest=made.digest), registries)
    target = here(registry, "about")
    found = get_manifest(registries.sources(target), target, made.digest)
    assert (found.raw, found.media_type) == (made.raw_manifest, made.descriptor.media_type)
    with pytest.raises(MealkitError, match=kind):
        RemoteImages(registries).image(Reference(registry.host, "about", digest=made.digest))

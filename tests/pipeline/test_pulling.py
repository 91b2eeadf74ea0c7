"""Pulls continue and share what is on disk, and a tag is what the registry says that it is now."""

import gzip
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fakes.little import OFFLINE, Heard, accept_every, little_kit
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import need

from mealkit.assembly.lean import lean_image, weight_layers
from mealkit.digest import Digest
from mealkit.errors import MealkitError, failure
from mealkit.oci.descriptor import DOCKER_LAYER_GZIP, DOCKER_MANIFEST
from mealkit.oci.image import Image
from mealkit.oci.reference import Reference
from mealkit.oci.validate import validate
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.inspecting import inspect
from mealkit.pipeline.image.outputs import Outputs, deliver
from mealkit.pipeline.image.pulling import pull
from mealkit.pipeline.machine.stated_needs import stated_by
from mealkit.pipeline.opening_images import current_image, open_image
from mealkit.pipeline.targets import RegistryReference, StoredDigest
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.blob import RegistryBlob
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries

HALF = 800_000
_PULL = """
import sys
import time
from pathlib import Path
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.pulling import pull
from mealkit.progress import SILENT

at, home = Reference.parse(sys.argv[1]), home_at(Path(sys.argv[2]))
pull(at, "amd64", home, SILENT, accept=lambda *_: None)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Image:
    """The image of a little kit, with one layer for its weights."""
    folder = tmp_path_factory.mktemp("built")
    home = home_at(folder / "home")
    kit = little_kit(folder / "kit")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    return LocalStore(home.store).image(str(report.digest))


@pytest.fixture
def quirky(built):
    """A registry that has the image as little:1."""
    server = QuirkyRegistry()
    with Registries.from_environment() as registries:
        push(built, Reference(server.host, "little", "1"), registries)
    server.seen.clear()
    yield server
    server.close()


@pytest.fixture
def target(quirky) -> RegistryReference:
    text = f"{quirky.host}/little:1"
    return RegistryReference(text, Reference.parse(text))


def pulled(target: RegistryReference, home: Home, heard: Heard | None = None) -> Image:
    return pull(target.reference, "amd64", home, heard or Heard(), accept=accept_every)


def another(target: RegistryReference, home: Home) -> subprocess.Popen[bytes]:
    """Start a pull in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", _PULL, target.text, str(home.root)])


def weights_of(image: Image) -> Digest:
    (weight,) = weight_layers(image)
    return weight.layer.blob.digest


def largest_layer(image: Image) -> Digest:
    """The largest layer beside the weights."""
    return max(lean_image(image).layers, key=lambda layer: layer.blob.size_bytes).blob.digest


def starts(quirky: QuirkyRegistry, digest: Digest) -> list[str | None]:
    """The ranges that were asked for of a blob."""
    return [
        head.get("Range") for kind, path, head in quirky.seen if kind == "GET" and digest in path
    ]


@pytest.mark.parametrize("which", [weights_of, largest_layer], ids=["weights", "another layer"])
def test_a_killed_pull_goes_on_where_it_ended(quirky, target, built, home, which):
    """The bytes that a killed process wrote are verified and not fetched again."""
    digest = which(built)
    blob = quirky.blobs[digest]
    half = len(blob) // 2
    pulling = []

    def killing(handler):
        if handler.command != "GET" or digest not in handler.path:
            return False
        start = int(handler.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        handler.send_response(206 if "Range" in handler.headers else 200)
        end = int(handler.headers.get("Range", f"-{len(blob) - 1}").rpartition("-")[2])
        handler.send_header("Content-Range", f"bytes {start}-{end}/{len(blob)}")
        handler.send_header("Content-Length", str(end - start + 1))
        handler.end_headers()
        handler.wfile.write(blob[start:half])
        handler.wfile.flush()
        parts = home.files / "parts"
        while sum(part.stat().st_size for part in parts.glob("*.part")) < HALF // 2:
            time.sleep(0.01)
        pulling[0].kill()
        return True

    quirky.quirks.append(killing)
    pulling.append(another(target, home))
    assert pulling[0].wait(60) < 0
    quirky.quirks.clear()
    quirky.seen.clear()
    image = pulled(target, home)
    assert image.digest == built.digest
    assert validate(image) == []
    (start,) = starts(quirky, digest)
    assert int(start.removeprefix("bytes=").partition("-")[0]) > HALF // 2
    assert not list((home.files / "parts").glob("*.part"))


def test_bytes_of_an_earlier_pull_that_are_wrong_are_fetched_again(quirky, target, built, home):
    """A part that a crash left damaged costs its bytes, and does not fail the pull."""
    (weight,) = weight_layers(built)
    (home.files / "parts").mkdir(parents=True)
    (home.files / "parts" / f"{weight.digest.hex}.part").write_bytes(b"\xff" * 70_000)
    assert validate(pulled(target, home)) == []
    assert len(starts(quirky, weight.layer.blob.digest)) == 2


@pytest.mark.parametrize("which", [weights_of, largest_layer], ids=["weights", "another layer"])
def test_of_two_pulls_at_once_one_fetches_and_both_have_it(quirky, target, built, home, which):
    """The second waits for the first, and shares the bytes."""
    digest = which(built)
    others = []

    def meanwhile(handler):
        if handler.command == "GET" and digest in handler.path and not others:
            others.append(another(target, home))
            while quirky.count("GET", "manifests") < 2:
                time.sleep(0.01)
        return False

    quirky.quirks.append(meanwhile)
    assert pulled(target, home).digest == built.digest
    assert others[0].wait(60) == 0
    assert len(starts(quirky, digest)) == 1


@pytest.mark.parametrize("which", [weights_of, largest_layer], ids=["weights", "another layer"])
def test_what_a_mirror_has_wrong_comes_from_the_registry(
    quirky, target, built, home, which, monkeypatch
):
    """Damaged bytes of a mirror are noticed, named, and replaced within the same pull."""
    mirror, digest = QuirkyRegistry(), which(built)
    mirror.manifests, mirror.blobs = quirky.manifests, dict(quirky.blobs)
    damaged = bytearray(mirror.blobs[digest])
    damaged[-3000] ^= 1
    mirror.blobs[digest] = bytes(damaged)
    monkeypatch.setenv("MEALKIT_REGISTRY_MIRRORS", f"{quirky.host}=http://{mirror.host}")
    heard = Heard()
    assert validate(pulled(target, home, heard)) == []
    mirror.close()
    (notice,) = heard.notices
    assert notice.code == "REGISTRY_DIGEST"
    assert mirror.host in notice.message
    assert quirky.count("GET", "/blobs/") == 1


def moved(quirky: QuirkyRegistry, built: Image) -> Digest:
    """Let the tag name another image; return its digest."""
    form = json.loads(built.raw_manifest)
    raw = json.dumps({**form, "annotations": {**form["annotations"], "moved": "yes"}}).encode()
    quirky.manifests["1"] = (form["mediaType"], raw)
    return Digest.of(raw)


def test_a_tag_that_did_not_move_is_the_stored_image(quirky, target, built, home):
    """One question to the registry, and nothing is fetched."""
    pulled(target, home)
    quirky.seen.clear()
    assert current_image(target, home) == StoredDigest(str(built.digest))
    assert quirky.count("GET", "manifests") == 1
    assert not quirky.count("GET", "blobs")


def test_a_moved_tag_is_noticed_by_every_command(quirky, target, built, home):
    """The registry's image is meant; the stored one is named, and replaced by a pull."""
    pulled(target, home)
    new, heard = moved(quirky, built), Heard()
    found = current_image(target, home, progress=heard)
    assert isinstance(found, RegistryReference)
    assert any(str(new) in phase and str(built.digest) in phase for phase in heard.phases)
    assert inspect(target.text, verify=False, home=home, progress=Heard()).digest == str(new)
    assert stated_by(target, "amd64", home).is_here is False
    assert pulled(target, home).digest == new
    assert current_image(target, home) == StoredDigest(str(new))


def test_without_the_registry_the_stored_image_is_used_and_named(quirky, target, built, home):
    """A machine without a network starts what it has, and says which digest that is."""
    pulled(target, home)
    quirky.close()
    heard = Heard()
    assert current_image(target, home, progress=heard) == StoredDigest(str(built.digest))
    (notice,) = heard.notices
    assert notice.code == "REGISTRY_UNREACHABLE"
    assert str(built.digest) in notice.message


@pytest.mark.parametrize(("status", "code"), [(404, "IMAGE_NOT_FOUND"), (403, "REGISTRY_DENIED")])
def test_a_refused_tag_is_not_the_stored_image(quirky, target, built, home, status, code):
    """A tag that is gone or not for this user is a problem; its hint has the stored digest."""
    pulled(target, home)

    def refuse(handler):
        return "/manifests/" in handler.path and handler.answer(status)

    quirky.quirks.append(refuse)
    with pytest.raises(MealkitError) as caught:
        current_image(target, home)
    assert caught.value.problems[0].code == code
    assert str(built.digest) in caught.value.problems[0].hint


def test_a_stored_digest_needs_no_request(quirky, target, built, home):
    """A digest cannot move."""
    pulled(target, home)
    quirky.close()
    text = f"{quirky.host}/little@{built.digest}"
    pinned = RegistryReference(text, Reference.parse(text))
    assert current_image(pinned, home) == StoredDigest(str(built.digest))


def test_a_copy_without_annotations_is_the_same_kit(quirky, target, built, home):
    """docker push and skopeo drop annotations and compress: config, lock and content are kept."""
    form = json.loads(built.raw_manifest)
    layers = []
    for layer in built.layers:
        data = b"".join(bytes(chunk) for chunk in layer.blob.chunks())
        packed = data if layer.media_type.endswith("gzip") else gzip.compress(data, 1, mtime=0)
        quirky.blobs[Digest.of(packed)] = packed
        layers.append(
            {"mediaType": DOCKER_LAYER_GZIP, "digest": Digest.of(packed), "size": len(packed)}
        )
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST,
            "config": {
                **form["config"],
                "mediaType": "application/vnd.docker.container.image.v1+json",
            },
            "layers": layers,
        }
    ).encode()
    quirky.manifests["1"] = (DOCKER_MANIFEST, raw)
    wanted = lock_of(built)
    stated = stated_by(target, "amd64", home)
    assert stated.requirements == wanted.requirements
    assert stated.owner == wanted.about.owner
    image = pulled(target, home)
    assert lock_of(image) == wanted
    assert weight_layers(image) == ()
    assert validate(image) == []
    assert inspect(target.text, verify=False, home=home, progress=Heard()).lock == wanted


def test_an_archive_of_other_tools_is_the_same_kit(quirky, target, built, home, tmp_path):
    """What docker save and skopeo's docker-archive write is read like an archive of mealkit's."""
    archive = tmp_path / "kit.tar"
    source = f"docker://{target.text}"
    command = [need("skopeo"), "copy", "--src-tls-verify=false", source]
    subprocess.run(
        [*command, f"docker-archive:{archive}:little:1"], check=True, capture_output=True
    )
    with open_image(f"oci-archive:{archive}", home) as image:
        assert lock_of(image) == lock_of(built)
        assert validate(image) == []
        assert image.labels == built.labels


def test_a_layer_that_python_cannot_unpack_is_refused_before_the_pull(quirky, target, built, home):
    """The sandbox needs every layer unpacked, so zstd without zstd is said first."""
    form = json.loads(built.raw_manifest)
    form["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"
    quirky.manifests["1"] = (form["mediaType"], json.dumps(form).encode())
    try:
        from compression.zstd import compress  # noqa: PLC0415

        del compress
        pytest.skip("this Python has zstd")
    except ImportError:
        pass
    quirky.seen.clear()
    with pytest.raises(MealkitError) as caught:
        pull(target.reference, "amd64", home, Heard(), is_unpacked=True, accept=accept_every)
    assert caught.value.problems[0].code == "IMAGE_UNCHECKED"
    assert not [path for _, path, _ in quirky.seen if weights_of(built) in path]
    assert not Path(home.files / "parts").exists()


def test_an_image_is_delivered_to_every_place(quirky, built, tmp_path):
    """--push and --output may be repeated; what is in the registry is not sent again."""
    texts = [f"{quirky.host}/other/kit:{tag}" for tag in ("1.0.0", "latest")]
    files = [f"oci-archive:{tmp_path}/a.tar", f"oci:{tmp_path}/b"]
    places = Outputs(push=[*texts, texts[0]], output=files).places()
    lines = deliver(built, "little:1", places, ("little",), Heard())
    assert [line.split("@")[0] for line in lines[2:]] == [f"pushed to {text}" for text in texts]
    assert {"1.0.0", "latest"} <= set(quirky.manifests)
    assert (tmp_path / "a.tar").is_file()
    assert (tmp_path / "b" / "index.json").is_file()


def test_a_run_begins_with_the_layers_while_the_weights_are_fetched(quirky, target, built, home):
    """The image without weights can be loaded before the registry has sent them."""
    begun, ready = threading.Event(), []

    def wait(handler):
        return weights_of(built) in handler.path and not begun.wait(30)

    def early(image):
        lean = lean_image(image)
        assert not any(isinstance(layer.blob, RegistryBlob) for layer in lean.layers)
        assert validate(lean) == []
        ready.append(lean.digest)
        begun.set()

    quirky.quirks.append(wait)
    image = pull(target.reference, "amd64", home, Heard(), accept=accept_every, early=early)
    assert ready == [lean_image(image).digest]


def test_what_begins_early_and_fails_does_not_fail_the_pull(target, built, home):
    """The same is done again afterwards, and its problem is told then."""

    def early(_image):
        raise failure("CLIENT_UNAVAILABLE", "no engine answers")

    image = pull(target.reference, "amd64", home, Heard(), accept=accept_every, early=early)
    assert image.digest == built.digest

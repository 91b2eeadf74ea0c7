"""Pushes, pulls and copies images with everything that is about them, between real registries."""

import json
import threading

import pytest
from fakes.little import OFFLINE, Heard, accept_every, little_base, little_pair
from fakes.quirky_registry import QuirkyRegistry

from mealkit.assembly.lean import weight_layers
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.descriptor import INDEX, Descriptor
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import Index
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.image.pulling import pull_content
from mealkit.pipeline.image.uploading import upload
from mealkit.pipeline.publish.copying import copy
from mealkit.pipeline.publish.pushing import PushRequest, push_target
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import Companion, publish
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers, fallback_tag
from mealkit.stores.registry.remote_content import RegistryContent, remote_content
from mealkit.stores.upkeep import prune

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "application/vnd.dev.cosign.artifact.sig.v1+json"


def bundle(text, subject, kind=BUNDLE):
    return artifact_of(kind, [Attachment(kind, BytesBlob(text.encode()), {})], subject=subject)


def simple(text, subject, *, stated=True):
    """A signature in the layout that podman reads; older ones do not state their subject."""
    item = Attachment(
        SIMPLE, BytesBlob(text.encode()), {"dev.cosignproject.cosign/signature": text}
    )
    return artifact_of(SIGNATURE, [item], subject=subject if stated else None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A home with a kit for two architectures, little:1.0.0, and artifacts about it; and the kit."""
    folder = tmp_path_factory.mktemp("built")
    home, kit = home_at(folder / "home"), little_pair(folder / "kit")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    index = LocalStore(home.store).content(str(report.digest))
    attached = Attached(LocalStore(home.store))
    signature = bundle("signed", index.descriptor)
    attached.add(signature)
    attached.add(bundle("of the signature", signature.descriptor))
    attached.add(simple("for podman", index.descriptor))
    attached.add(bundle("about one image", index.images[0].descriptor))
    return home, kit, index


@pytest.fixture(params=["api", "fallback"])
def host(request, quirky, fallback):
    return quirky.host if request.param == "api" else fallback.host


def at(registries, text):
    reference = Reference.parse(text)
    return RegistryReferrers(registries.sources(reference), reference)


def read(artifact):
    return b"".join(bytes(chunk) for chunk in artifact.blobs[0].chunks()).decode()


def about(there, subject, kind=None):
    """What is about a manifest in a registry, and about that: texts by depth."""
    found = there.listed(subject, kind)
    texts = {read(there.artifact(item)) for item in found}
    return texts.union(*(about(there, item.digest, kind) for item in found))


EVERYTHING = {"signed", "of the signature", "for podman"}


def refused(action):
    with pytest.raises(MealkitError) as caught:
        action()
    return caught.value.problems[0]


def push(home, target, reference, **options):
    heard = Heard()
    return push_target(PushRequest(str(target), reference, **options), home, heard), heard


def test_a_stored_kit_is_pushed_with_everything_about_it(shared, host, registries):
    """All platforms, signatures, their signatures and podman's tag arrive; again sends nothing."""
    home, _, index = shared
    text = f"{host}/team/whole:1.0.0"
    done, _ = push(home, "little:1.0.0", text)
    assert (done.digest, len(done.companions)) == (index.digest, 4)
    there = at(registries, text)
    assert about(there, index.digest) == EVERYTHING
    assert about(there, index.images[0].digest) == {"about one image"}
    assert read(there.tagged(f"{fallback_tag(index.digest)}.sig")) == "for podman"
    again, _ = push(home, str(index.digest), text)
    assert (again.sent_bytes, again.digest) == (0, index.digest)


def test_the_tag_is_written_after_what_is_about_it(shared, quirky):
    """Whoever reads the tag finds its signatures: nothing is put after the tag."""
    home, *_ = shared
    push(home, "little:1.0.0", f"{quirky.host}/team/last:1.0.0")
    puts = [path for method, path, _ in quirky.seen if method == "PUT" and "/manifests/" in path]
    assert puts[-1].endswith("/manifests/1.0.0")
    assert sum(path.endswith("/manifests/1.0.0") for path in puts) == 1


def test_a_kit_folder_is_built_and_pushed(shared, quirky):
    """A kit's folder is built if needed; the digest is that of its build."""
    home, kit, index = shared
    done, _ = push(home, kit, f"{quirky.host}/team/kit:1.0.0", frozen=True)
    assert done.digest == index.digest
    assert "1.0.0" in quirky.tags()


def test_a_lean_push_leaves_weights_and_signatures_of_the_full_image(shared, quirky):
    """The lean index has other digests, so signatures of the full one would not be about it."""
    home, kit, index = shared
    text = f"{quirky.host}/team/lean:1.0.0"
    done, heard = push(home, "little:1.0.0", text, lean=True)
    assert done.digest != index.digest
    assert not done.companions
    assert any("are not pushed" in phase and str(index.digest) in phase for phase in heard.phases)
    weights = (kit / "weights" / "model.safetensors").read_bytes()
    assert not [digest for digest, data in quirky.blobs.items() if weights in data]


def test_a_lean_push_of_an_image_without_large_weights_takes_everything(shared, quirky):
    """The lean image is the same then, so nothing is said about artifacts that stay."""
    home, *_ = shared
    base = little_base("no weights")
    LocalStore(home.store).put(base, ["plain:1.0.0"])
    Attached(LocalStore(home.store)).add(bundle("signed", base.descriptor))
    done, heard = push(home, "plain:1.0.0", f"{quirky.host}/team/plain:1.0.0", lean=True)
    assert len(done.companions) == 1
    assert not any("are not pushed" in phase for phase in heard.phases)


def test_an_image_in_a_registry_is_not_pushed_but_copied(shared, quirky):
    """A reference as the source of a push suggests copy."""
    home, *_ = shared
    problem = refused(lambda: push(home, f"{quirky.host}/a:1", f"{quirky.host}/b:1"))
    assert problem.hint == f"mealkit copy {quirky.host}/a:1 {quirky.host}/b:1"


@pytest.fixture
def two(tmp_path):
    """Two images that want the same name."""
    return little_base("one"), little_base("two")


def put(image, text, **options):
    with Registries.from_environment() as registries:
        return upload(image, Reference.parse(text), registries, Heard(), **options)


def test_a_version_is_not_given_to_other_bytes(two, host):
    """A version that exists is refused before anything is sent, unless it is meant."""
    one, other = two
    text = f"{host}/team/fixed:1.2.3"
    put(one, text)
    put(one, text)
    problem = refused(lambda: put(other, text))
    assert problem.code == "VERSION_EXISTS"
    assert str(one.digest) in problem.message
    assert str(other.digest) in problem.message
    assert "--replace" in problem.hint
    with Registries.from_environment() as registries:
        reference = Reference.parse(text)
        found = remote_content(registries.sources(reference), reference, "1.2.3")
        assert found.descriptor.digest == one.digest
    moved = put(other, text, replaces=True)
    assert moved.moved_from == one.digest


def test_a_refused_version_sends_nothing(two, quirky):
    """No blob of the other image is uploaded."""
    one, other = two
    put(one, f"{quirky.host}/fixed:1")
    before = quirky.count("POST", "/uploads/")
    refused(lambda: put(other, f"{quirky.host}/fixed:1"))
    assert quirky.count("POST", "/uploads/") == before


@pytest.mark.parametrize("tag", ["", ":latest", ":stable"])
def test_a_tag_without_a_digit_may_move(two, quirky, tag):
    """latest and the like are meant to move, and the result says from where."""
    one, other = two
    text = f"{quirky.host}/moving{tag}"
    put(one, text)
    assert put(other, text).moved_from == one.digest


def test_two_pushers_of_one_version_do_not_both_succeed(quirky):
    """Both saw the free tag before either wrote it; whoever loses is told."""
    images = [little_base(f"racer {number}") for number in range(2)]
    text, both, results = f"{quirky.host}/race:1.0.0", threading.Barrier(2, timeout=60), []

    def together(call):
        if call.command == "PUT" and call.path.endswith("/manifests/1.0.0"):
            both.wait()

    quirky.quirks.append(together)

    def race(image):
        try:
            results.append(put(image, text).digest)
        except MealkitError as error:
            results.append(error.problems[0].code)

    threads = [threading.Thread(target=race, args=(image,)) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert "VERSION_EXISTS" in results
    winners = [item for item in results if item != "VERSION_EXISTS"]
    assert winners in ([], [Digest.of(quirky.manifests["1.0.0"][1])])


@pytest.mark.parametrize("way", ["api to fallback", "fallback to api"])
def test_a_copy_has_everything_that_refers_to_it(shared, quirky, fallback, registries, way):
    """Both platforms, referrers of referrers, ModelPacks and podman's tag keep their digests."""
    home, _, index = shared
    hosts = {"api": quirky.host, "fallback": fallback.host}
    first, _, second = way.partition(" to ")
    source, target = f"{hosts[first]}/from/kit:1.0.0", f"{hosts[second]}/to/{first}"
    push(home, "little:1.0.0", source)
    pack = bundle("the weights again", index.images[0].descriptor, MODELPACK)
    put_companion(Companion(pack, index.images[0].digest), source)
    put_companion(Companion(simple("old", None, stated=False), index.digest, ".att"), source)
    heard = Heard()
    done = copy(source, target, heard)
    assert done.digest == index.digest
    assert str(done.reference) == f"{target}:1.0.0"
    there = at(registries, target)
    assert about(there, index.digest) == EVERYTHING
    assert about(there, index.images[0].digest) == {"about one image", "the weights again"}
    assert read(there.tagged(f"{fallback_tag(index.digest)}.sig")) == "for podman"
    assert read(there.tagged(f"{fallback_tag(index.digest)}.att")) == "old"
    for image in index.images:
        reference = Reference.parse(target)
        copied = remote_content(registries.sources(reference), reference, image.digest)
        assert copied.raw_manifest == image.raw_manifest
    assert any("podman" in phase for phase in heard.phases)
    assert copy(source, target, Heard()).sent_bytes == 0


def put_companion(companion, text):
    with Registries.from_environment() as registries:
        publish(companion, Reference.parse(text), registries)


def test_a_copy_within_a_registry_mounts_its_layers(shared, fallback):
    """No layer is sent between two repositories of one registry."""
    home, *_ = shared
    push(home, "little:1.0.0", f"{fallback.host}/mount/a:1.0.0")
    seen = len(fallback.requests())
    copy(f"{fallback.host}/mount/a:1.0.0", f"{fallback.host}/mount/b:2.0.0", Heard())
    mine = fallback.requests()[seen:]
    assert not [path for method, path, _ in mine if method == "PATCH"]
    assert [path for method, path, status in mine if "mount=" in path and status == 201]


def test_signatures_that_are_there_already_stay_under_the_older_tag(quirky, registries):
    """A second signer's signature is added to the first one's, as cosign does."""
    image = little_base("signed twice")
    text = f"{quirky.host}/twice:1"
    put(image, text)
    for signer in ("first", "second", "first"):
        put_companion(Companion(simple(signer, image.descriptor), image.digest, ".sig"), text)
    found = at(registries, text).tagged(f"{fallback_tag(image.digest)}.sig")
    texts = {b"".join(bytes(part) for part in blob.chunks()) for blob in found.blobs[:-1]}
    assert texts == {b"first", b"second"}


def test_a_referrer_that_cannot_be_read_is_named_and_does_not_stop_a_copy(quirky, registries):
    """A list may name manifests that are gone, or that are about something else."""
    image, other = little_base("odd"), little_base("other")
    source = f"{quirky.host}/odd:1"
    put(image, source)
    put_companion(Companion(bundle("good", image.descriptor), image.digest), source)
    quirky.has_referrers = False
    stranger = bundle("about another image", other.descriptor)
    quirky.manifests[str(stranger.digest)] = (
        "application/vnd.oci.image.manifest.v1+json",
        stranger.raw_manifest,
    )
    gone = bundle("gone", image.descriptor)
    form = {
        "schemaVersion": 2,
        "manifests": [
            item.descriptor.as_json() for item in (stranger, gone, bundle("good", image.descriptor))
        ],
    }
    index = "application/vnd.oci.image.index.v1+json"
    quirky.manifests[fallback_tag(image.digest)] = (index, json.dumps(form).encode())
    heard, target = Heard(), QuirkyRegistry()
    try:
        done = copy(source, f"{target.host}/odd", heard)
    finally:
        target.close()
    assert [item.digest for item in done.companions] == [bundle("good", image.descriptor).digest]
    assert sorted(item.code for item in heard.notices) == ["IMAGE_INVALID", "IMAGE_NOT_FOUND"]


@pytest.fixture
def home(tmp_path):
    """The home of another machine."""
    return home_at(tmp_path / "other")


def pull(text, home, architecture=None):
    heard = Heard()
    named = Reference.parse(text)
    return pull_content(named, architecture, home, heard, accept=accept_every), heard


def kept(home, subject):
    """What a store has about a manifest, and about that."""
    attached = Attached(LocalStore(home.store))
    found = attached.listed(subject)
    texts = {read(attached.artifact(item)) for item in found}
    return texts.union(*(kept(home, item.digest) for item in found))


def disk_bytes(home):
    return sum(path.stat().st_size for path in home.root.rglob("*") if path.is_file())


@pytest.mark.parametrize("architecture", [None, "arm64"])
def test_a_pull_keeps_what_is_about_the_image_and_its_index(shared, host, home, architecture):
    """Signatures of the index and of the image are in the store, without ModelPacks, until pruned."""
    source, _, index = shared
    text = f"{host}/pull/{architecture or 'all'}:1.0.0"
    push(source, "little:1.0.0", text)
    arm = index.images[1]
    pack = bundle("the weights again", arm.descriptor, MODELPACK)
    put_companion(Companion(pack, arm.digest), text)
    put_companion(Companion(bundle("about arm64", arm.descriptor), arm.digest), text)
    done, _ = pull(text, home, architecture)
    store = LocalStore(home.store)
    assert done.digest == index.digest
    assert done.stored == (arm.digest if architecture else index.digest)
    assert store.resolve(text).digest == done.stored
    prune(store)
    assert kept(home, index.digest) == EVERYTHING
    assert kept(home, arm.digest) == {"about arm64"}
    assert kept(home, index.images[0].digest) == (set() if architecture else {"about one image"})
    assert [item.digest for item in Attached(store).indexes(arm.digest)] == [index.digest]
    store.remove(text)
    prune(store)
    assert not list(store.blobs.digests())


def test_pulled_weights_are_one_plain_file_that_is_mounted(shared, quirky, home):
    """The weights of a pulled kit are on disk once, as the verified file itself; again adds none."""
    source, kit, _ = shared
    text = f"{quirky.host}/once:1.0.0"
    push(source, "little:1.0.0", text)
    done, _ = pull(text, home, "amd64")
    image = LocalStore(home.store).image(str(done.stored))
    (weight,) = weight_layers(image)
    file = weight.layer.blob.source
    weights = (kit / "weights" / "model.safetensors").read_bytes()
    assert file.read_bytes() == weights
    assert home.files in file.parents
    first = disk_bytes(home)
    every = [path for path in home.root.rglob("*") if path.is_file()]
    assert [path for path in every if weights in path.read_bytes()] == [file]
    seen = len(quirky.seen)
    pull(text, home, "amd64")
    assert disk_bytes(home) == first
    blobs = {path.rpartition("/")[2] for _, path, _ in quirky.seen[seen:] if "/blobs/" in path}
    assert not blobs & {str(layer.blob.digest) for layer in image.layers}


def test_a_registry_without_its_signatures_is_a_warning(shared, quirky, home):
    """If the list of referrers cannot be read, the image is pulled and the reason is told."""
    source, *_ = shared
    text = f"{quirky.host}/unlisted:1.0.0"
    push(source, "little:1.0.0", text)
    quirky.quirks.append(lambda call: "/sha256-" in call.path and call.answer(403))
    done, heard = pull(text, home, "amd64")
    assert done.companions == 0
    assert [item.code for item in heard.notices] == ["REGISTRY_DENIED"]


def test_an_artifact_that_is_too_large_stays_in_the_registry(quirky, home):
    """An artifact of gigabytes that refers to an image does not fill the disk of who pulls it."""
    image, text = little_base("large"), f"{quirky.host}/large:1"
    put(image, text)
    huge = bundle("x", image.descriptor)
    form = json.loads(huge.raw_manifest)
    form["layers"][0]["size"] = 70 * 2**20
    raw = json.dumps(form).encode()
    kind = "application/vnd.oci.image.manifest.v1+json"
    quirky.manifests[str(Digest.of(raw))] = (kind, raw)
    done, heard = pull(text, home, "amd64")
    assert (done.companions, heard.notices[0].measured) == (0, "70.0 MiB")


def test_an_index_with_other_parts_is_pulled_whole(quirky, home):
    """What an index lists beside images, as BuildKit does, is stored too, so that prune works."""
    image = little_base("whole")
    extra = bundle("an attestation", None)
    unknown = {"os": "unknown", "architecture": "unknown"}
    forms = (image.descriptor.as_json(), extra.descriptor.as_json() | {"platform": unknown})
    index = RegistryContent(Index(forms).as_bytes(), _described(Index(forms)), (), (image, extra))
    text = f"{quirky.host}/whole:1"
    put(index, text)
    done, _ = pull(text, home)
    prune(LocalStore(home.store))
    (stored,) = LocalStore(home.store).images()
    assert (stored.digest, stored.missing) == (done.digest, ())


def _described(index):
    return Descriptor(INDEX, Digest.of(index.as_bytes()), len(index.as_bytes()))

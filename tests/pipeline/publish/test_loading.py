"""Loads an archive after the policies of the machine agreed; a refusal leaves nothing."""

import gzip
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.little import OFFLINE, Heard, little_kit
from fakes.signatures import bundled, new_signer, simple

from mealkit.assembly.lean import weight_layers
from mealkit.errors import MealkitError
from mealkit.oci.descriptor import LAYER_GZIP
from mealkit.oci.image import BytesBlob, Image, Layer, image_of
from mealkit.oci.index import ImageIndex
from mealkit.oci.validate import validate
from mealkit.pipeline.archives.loading import archive_list, load
from mealkit.pipeline.archives.proposing import write_proposal
from mealkit.pipeline.archives.saving import SaveRequest, save
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.policy.admitting import accepted
from mealkit.pipeline.policy.candidates import stored_candidate
from mealkit.stores.attached import Attached
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.packed_archive import AttachedArtifact, NamedContent, packed
from mealkit.trust.verified import SBOM

pytestmark = pytest.mark.xdist_group("archives")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Home:
    """The home of a machine without any policy."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return home_at(tmp_path / "other")


@pytest.fixture(scope="module")
def files(signed_pair, tmp_path_factory) -> list[Path]:
    """The signed kit in volumes, with a ModelPack and a proposal."""
    file = tmp_path_factory.mktemp("saved") / "kit.tar"
    policy = file.with_name("policy.yaml")
    policy.write_text("version: mealkit.policy/v1\n")
    request = SaveRequest(
        ["little:1.0.0"], file, 700 * 1024, None, True, policy, [signed_pair.public]
    )
    return [item.path for item in save(request, signed_pair.home, Heard()).files]


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """Give this machine a policy that trusts a public key; return a function."""

    def write(pem: bytes, *lines: str) -> Path:
        folder = tmp_path / "policy"
        folder.mkdir()
        (folder / "team.pub").write_bytes(pem)
        file = folder / "policy.yaml"
        text = ["version: mealkit.policy/v1", "keys:", "  team:", "    file: team.pub", *lines]
        file.write_text("\n".join(text) + "\n")
        monkeypatch.setenv("MEALKIT_POLICY", str(file))
        return file

    return write


def archived(file, contents, artifacts=()) -> Path:
    """Write an archive as anyone could."""
    archive = packed([NamedContent(*item) for item in contents], artifacts)
    file.write_bytes(b"".join(bytes(chunk) for chunk in archive.chunks()))
    return file


def refusal(files, home) -> list[str]:
    """Return the codes of a refusal, after which only a lock may be on the disk."""
    with pytest.raises(MealkitError) as caught:
        load(files, home, Heard())
    assert {path.name for path in home.root.rglob("*") if path.is_file()} <= {"lock"}
    return [item.code for item in caught.value.problems]


def test_a_loaded_kit_is_whole_and_its_weights_are_files(signed_pair, files, home):
    """Weights are one verified file that can be mounted, also those of the ModelPack."""
    report = load(list(reversed(files)), home, Heard())
    store = LocalStore(home.store)
    content = store.content("little:1.0.0")
    assert isinstance(content, ImageIndex)
    assert content.raw_manifest == signed_pair.index.raw_manifest
    assert [validate(image) for image in content.images] == [[], []]
    (weight,) = weight_layers(content.images[0])
    assert isinstance(weight.layer.blob, VirtualBlob)
    data = weight.layer.blob.source.read_bytes()
    assert len(data) == weight.size_bytes
    every = [path for path in home.root.rglob("*") if path.is_file()]
    assert [path for path in every if data in path.read_bytes()] == [weight.layer.blob.source]
    listed = Attached(store).listed(content.digest)
    assert len(listed) == 4
    (loaded,) = report.images
    assert (loaded.names, loaded.taken) == (("little:1.0.0",), ())
    assert [item.name for item in report.proposed] == ["policy.yaml", "team.pub"]


def test_a_policy_reads_the_signatures_of_the_archive(signed_pair, files, home, policy):
    """The image is accepted at load, and again from the store, with the signatures that came."""
    policy(signed_pair.signer.public.pem, "attestations:", "  sbom: {}")
    heard = Heard()
    load(files, home, heard)
    assert [text for text in heard.phases if "accepted by" in text]
    store = LocalStore(home.store)
    image = store.content("little:1.0.0").images[0]
    assert accepted(stored_candidate("little:1.0.0", image, store), Heard()).digest == image.digest


def test_one_architecture_is_accepted_by_the_signature_of_its_index(
    signed_pair, home, policy, tmp_path
):
    """Also after it was loaded, and saved again from there."""
    policy(signed_pair.signer.public.pem)
    request = SaveRequest(["little:1.0.0"], tmp_path / "arm.tar", architecture="arm64")
    save(request, signed_pair.home, Heard())
    load([tmp_path / "arm.tar"], home, Heard())
    again = SaveRequest(["little:1.0.0"], tmp_path / "again.tar")
    save(again, home, Heard())
    third = home_at(tmp_path / "third")
    load([tmp_path / "again.tar"], third, Heard())
    image = LocalStore(third.store).image("little:1.0.0")
    assert str(image.platform) == "linux/arm64"
    accepted(stored_candidate("little:1.0.0", image, LocalStore(third.store)), Heard())


def stranger(pair):
    return [bundled(new_signer(), pair.index.descriptor)]


def replayed(pair):
    """A right signature, of another image."""
    return [bundled(pair.signer, pair.index.images[0].descriptor)]


def downgraded(pair):
    """Only the older layout is left."""
    return [simple([pair.signer], pair.index.descriptor)]


def only_sbom(pair):
    return [bundled(pair.signer, pair.index.descriptor, SBOM)]


@pytest.mark.parametrize(
    "artifacts", [lambda _: [], stranger, replayed, downgraded, only_sbom], ids=range(5)
)
def test_what_the_policy_does_not_accept_leaves_nothing(
    signed_pair, home, policy, tmp_path, artifacts
):
    """Unsigned, another key, a replayed signature, the older layout alone, a statement alone."""
    policy(signed_pair.signer.public.pem)
    attached = [
        AttachedArtifact(item, item.manifest.subject.digest) for item in artifacts(signed_pair)
    ]
    contents = [(signed_pair.index, ("little:1.0.0",))]
    file = archived(tmp_path / "kit.tar", contents, attached)
    assert {code.partition("_")[0] for code in refusal([file], home)} == {"POLICY"}


def test_the_archive_s_own_policy_and_keys_decide_nothing(signed_pair, files, home, policy):
    """They are a proposal: this machine trusts another key."""
    policy(new_signer().public.pem)
    assert refusal(files, home) == ["POLICY_UNSIGNED", "POLICY_UNSIGNED"][:1]


def test_a_proposal_is_written_only_on_request(files, home, tmp_path, signed_pair):
    """Into a new folder, so that it replaces nothing; listing an archive stores nothing."""
    report = archive_list(files)
    assert not home.root.exists() or not list(home.root.iterdir())
    write_proposal(report.proposed, tmp_path / "proposal")
    assert (tmp_path / "proposal" / "team.pub").read_bytes() == signed_pair.public.read_bytes()
    with pytest.raises(MealkitError, match="OUTPUT_EXISTS"):
        write_proposal(report.proposed, tmp_path / "proposal")


def test_a_name_that_is_taken_stays_where_it_is(signed_pair, files, home, tmp_path, monkeypatch):
    """The report says whose it is; the loaded image is there by its digest."""
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    other = little_kit(tmp_path / "mine", weights_bytes=8000)
    mine = build_kit(other, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    (loaded,) = load(files, home, Heard()).images
    assert (loaded.names, loaded.taken) == ((), (("little:1.0.0", mine.digest),))
    store = LocalStore(home.store)
    assert store.resolve("little:1.0.0").digest == mine.digest
    assert store.content(str(signed_pair.index.digest)).digest == signed_pair.index.digest


def test_a_kit_gets_no_name_but_its_own(signed_pair, home, tmp_path):
    """The list of an archive is not signed: an old version is not loaded as a newer one."""
    contents = [(signed_pair.index, ("little:2.0.0", "bank:1.0.0"))]
    (loaded,) = load([archived(tmp_path / "kit.tar", contents)], home, Heard()).images
    assert loaded.names == ("little:1.0.0",)


def test_a_registry_s_name_must_be_accepted_like_a_pull(signed_pair, home, policy, tmp_path):
    """The policy's rules for registries and names count for it."""
    policy(signed_pair.signer.public.pem, "registries:", "  registry.example.org/team: {}")
    subject = signed_pair.index.descriptor
    attached = [AttachedArtifact(bundled(signed_pair.signer, subject), subject.digest)]
    for name in (
        "elsewhere.example.org/team/little:1.0.0",
        "registry.example.org/team/little:2.0.0",
    ):
        file = archived(tmp_path / "kit.tar", [(signed_pair.index, (name,))], attached)
        assert refusal([file], home)
    name = "registry.example.org/team/little:1.0.0"
    file = archived(tmp_path / "kit.tar", [(signed_pair.index, (name,))], attached)
    (loaded,) = load([file], home, Heard()).images
    assert loaded.names == ("little:1.0.0", name)


def with_layer(image: Image, number: int, layer: Layer) -> Image:
    layers = [layer if at == number else item for at, item in enumerate(image.layers)]
    return image_of(image.config, tuple(layers), image.annotations)


def swapped(image: Image) -> Image:
    """The weights have other bytes, in a layer whose digest is right."""
    (weight,) = weight_layers(image)
    number = image.layers.index(weight.layer)
    data = bytearray(b"".join(bytes(chunk) for chunk in weight.layer.blob.chunks()))
    data[5000] ^= 1
    blob = BytesBlob(bytes(data))
    return with_layer(image, number, replace(weight.layer, blob=blob, diff_id=blob.digest))


def other_header(image: Image) -> Image:
    """The right file under another mode."""
    (weight,) = weight_layers(image)
    number = image.layers.index(weight.layer)
    data = b"".join(bytes(chunk) for chunk in weight.layer.blob.chunks())
    blob = BytesBlob(data.replace(b"0000644", b"0004755"))
    return with_layer(image, number, replace(weight.layer, blob=blob, diff_id=blob.digest))


def wrong_diff_id(image: Image) -> Image:
    """A layer that unpacks to something else than its config says."""
    layer = replace(image.layers[0], diff_id=image.layers[1].diff_id)
    return with_layer(image, 0, layer)


def bomb(image: Image) -> Image:
    """A layer of a few KB that unpacks to 20 MiB."""
    blob = BytesBlob(gzip.compress(bytes(20 * 1024 * 1024)))
    layer = Layer(LAYER_GZIP, blob, blob.digest, "bomb")
    return with_layer(image, 0, layer)


@pytest.mark.parametrize("change", [swapped, other_header, wrong_diff_id, bomb])
def test_a_layer_that_is_not_what_is_stated_is_refused(signed_pair, home, tmp_path, change):
    """Nothing is listed, and no verified file has other bytes than its name."""
    image = change(signed_pair.index.images[0])
    file = archived(tmp_path / "kit.tar", [(image, ("little:1.0.0",))])
    with pytest.raises(MealkitError) as caught:
        load([file], home, Heard())
    assert caught.value.problems[0].code in {"IMAGE_INVALID", "BLOB_DAMAGED"}
    assert LocalStore(home.store).images() == []


def test_nothing_is_listed_if_one_of_several_images_is_damaged(signed_pair, home, tmp_path):
    """All layers are stored before the first image is listed."""
    contents = [(signed_pair.index, ()), (wrong_diff_id(signed_pair.index.images[1]), ())]
    with pytest.raises(MealkitError, match="IMAGE_INVALID"):
        load([archived(tmp_path / "kits.tar", contents)], home, Heard())
    assert LocalStore(home.store).images() == []


def test_a_full_disk_is_said_before_anything_is_written(signed_pair, files, tmp_path):
    """And with space, the same command ends well."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=500k", "mealkit-test", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        home = home_at(folder / "home")
        assert refusal(files, home) == ["DISK_FULL"]
        subprocess.run(["mount", "-o", "remount,size=20m", str(folder)], check=True)
        (loaded,) = load(files, home, Heard()).images
        assert loaded.digest == signed_pair.index.digest
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_changed_volume_is_named_by_load(files, home, tmp_path):
    """With its measured and its required checksum."""
    copies = [Path(shutil_copy(path, tmp_path)) for path in files]
    shutil_copy(files[0].with_name("kit.tar.sha256"), tmp_path)
    data = bytearray(copies[-1].read_bytes())
    data[len(data) // 2] ^= 1
    copies[-1].write_bytes(data)
    with pytest.raises(MealkitError) as caught:
        load(copies, home, Heard())
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("VOLUME_DAMAGED", str(copies[-1]))
    assert LocalStore(home.store).images() == []


def shutil_copy(path: Path, folder: Path) -> str:
    target = folder / path.name
    target.write_bytes(path.read_bytes())
    return str(target)


@pytest.mark.docker
def test_what_docker_saves_is_loaded(home, tmp_path):
    """Its own format, with its own names; there is no kit in it."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY hello /hello\n")
    (tmp_path / "hello").write_text("hello\n")
    name = "mealkit-test-load:1"
    subprocess.run(["docker", "build", "--quiet", "--tag", name, tmp_path], check=True)
    try:
        file = tmp_path / "docker.tar"
        subprocess.run(["docker", "save", "--output", file, name], check=True)
    finally:
        subprocess.run(["docker", "rmi", name], check=True, capture_output=True)
    (loaded,) = load([file], home, Heard()).images
    assert loaded.names == (name,)
    assert validate(LocalStore(home.store).image(name)) == []


def test_json_is_what_the_reports_are_made_of(files):
    """A listing has only texts and numbers."""
    (image,) = archive_list(files).images
    assert json.dumps([image.digest, image.platforms, image.size_bytes, image.artifacts])

"""Saves a signed kit from wherever it is, with everything that is about it."""

import shutil
import tarfile
from pathlib import Path

import pytest
from fakes.little import Heard
from fakes.quirky_registry import QuirkyRegistry

from mealkit.errors import MealkitError
from mealkit.oci.image import with_parts
from mealkit.oci.index import ImageIndex, Index
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.oci.reference import Reference
from mealkit.pipeline.archives.proposing import proposed_files
from mealkit.pipeline.archives.saving import SaveRequest, save
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.uploading import upload
from mealkit.stores.archive_content import ArchiveContent, read_content
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.companions import stored_companions
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import attach
from mealkit.stores.volume_reading import join_files
from mealkit.trust.bundle import BUNDLE_TYPE
from mealkit.trust.simple_signing import SIGNATURE_ARTIFACT_TYPE

pytestmark = pytest.mark.xdist_group("archives")


def saved(pair, file, targets=("little:1.0.0",), home=None, **options) -> ArchiveContent:
    save(SaveRequest(list(targets), file, **options), home or pair.home, Heard())
    return read_content(join_files([file]))


def kinds(content: ArchiveContent, digest) -> list[str]:
    return sorted(str(item.artifact_type) for item in content.listed(digest))


SIGNED = sorted([BUNDLE_TYPE, BUNDLE_TYPE, SIGNATURE_ARTIFACT_TYPE])


def test_a_kit_is_saved_with_what_is_about_it(signed_pair, tmp_path):
    """Both architectures under the kit's name, signatures in both layouts, the SBOM; no ModelPack."""
    found = saved(signed_pair, tmp_path / "kit.tar")
    (image,) = found.images
    assert image.names == ("little:1.0.0",)
    assert image.content.raw_manifest == signed_pair.index.raw_manifest
    assert kinds(found, signed_pair.index.digest) == SIGNED


def test_each_blob_is_there_once_and_a_modelpack_only_if_asked(signed_pair, tmp_path):
    """The weights of both architectures are one blob; a ModelPack has them again."""
    sizes = []
    for name, modelpacks in (("without", False), ("with", True)):
        content = saved(signed_pair, tmp_path / name, modelpacks=modelpacks)
        with tarfile.open(tmp_path / name) as archive:
            names = [item.name for item in archive if item.isfile()]
        assert len(names) == len(set(names))
        sizes.append((tmp_path / name).stat().st_size)
        assert (MODELPACK in kinds(content, signed_pair.index.digest)) is modelpacks
    assert sizes[1] - sizes[0] > 1_600_000


def test_one_architecture_keeps_the_signed_index(signed_pair, tmp_path):
    """Its signatures are about the index, so the index's bytes come along."""
    found = saved(signed_pair, tmp_path / "kit.tar", architecture="arm64")
    (named,) = found.images
    assert str(named.content.platform) == "linux/arm64"
    (index,) = found.indexes_of(named.content.digest)
    assert index.digest == signed_pair.index.digest
    assert kinds(found, index.digest) == SIGNED
    assert (tmp_path / "kit.tar").stat().st_size > 1_600_000


@pytest.fixture(scope="module")
def registry(signed_pair):
    """A registry with the kit and what is about it, as little:1.0.0."""
    server = QuirkyRegistry()
    content = LocalStore(signed_pair.home.store).content("little:1.0.0")
    attached = Attached(LocalStore(signed_pair.home.store))
    subjects = [item.descriptor.digest for item in with_parts(content)]
    with Registries.from_environment() as registries:
        place = Reference(server.host, "team/little", "1.0.0")
        companions = stored_companions(attached, subjects)
        upload(content, place, registries, Heard(), companions=companions)
    yield server
    server.close()


def test_a_registry_s_image_is_streamed_and_nothing_is_stored(signed_pair, registry, tmp_path):
    """In volumes, which are the same as those of the stored kit but for the name."""
    text, home = f"{registry.host}/team/little:1.0.0", home_at(tmp_path / "empty")
    save(SaveRequest([text], tmp_path / "kit.tar", 600 * 1024), home, Heard())
    found = read_content(join_files(list(tmp_path.glob("kit.tar*"))))
    (named,) = found.images
    assert named.names == tuple(sorted(["little:1.0.0", text]))
    assert named.content.raw_manifest == signed_pair.index.raw_manifest
    assert kinds(found, signed_pair.index.digest) == SIGNED
    assert not home.store.exists()
    assert not home.files.exists()


def test_a_referrer_that_is_an_index_is_left_out_and_told(signed_pair, registry, tmp_path):
    """An archive has artifacts; other tools attach indexes of them."""
    top = Index((), subject=signed_pair.index.descriptor, annotations={"made": "elsewhere"})
    place, heard = Reference(registry.host, "team/little"), Heard()
    referrer = ImageIndex(top.as_bytes(), ())
    with Registries.from_environment() as registries:
        attach(referrer, place, registries)
    text = f"{registry.host}/team/little:1.0.0"
    save(SaveRequest([text], tmp_path / "kit.tar"), home_at(tmp_path / "empty"), heard)
    (told,) = heard.notices
    assert "is not saved: it is an index" in told.message
    assert str(referrer.digest) in told.message
    found = read_content(join_files([tmp_path / "kit.tar"]))
    assert kinds(found, signed_pair.index.digest) == SIGNED


def test_what_the_store_has_is_not_fetched(signed_pair, registry, tmp_path):
    """Only manifests are read from the registry."""
    registry.seen.clear()
    text = f"{registry.host}/team/little:1.0.0"
    saved(signed_pair, tmp_path / "kit.tar", [text])
    weights = max(signed_pair.index.images[0].blobs, key=lambda blob: blob.size_bytes)
    assert registry.seen
    assert not [path for path in map(str, registry.seen) if weights.digest in path]


def test_kits_archives_and_digests_are_saved_too(signed_pair, tmp_path, monkeypatch):
    """The same bytes whatever names it; several targets that are one image are saved once."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    saved(signed_pair, tmp_path / "name.tar")
    digest = str(signed_pair.index.digest)
    targets = {
        "folder": [str(signed_pair.kit)],
        "digest": [digest[:19]],
        "archive": [f"oci-archive:{tmp_path / 'name.tar'}"],
        "all": ["little:1.0.0", digest, f"oci-archive:{tmp_path / 'name.tar'}"],
    }
    for name, texts in targets.items():
        saved(signed_pair, tmp_path / f"{name}.tar", texts)
        assert (tmp_path / f"{name}.tar").read_bytes() == (tmp_path / "name.tar").read_bytes(), name


def test_a_damaged_layer_is_found_before_it_travels(signed_pair, tmp_path):
    """The other side could not mend it."""
    home = home_at(tmp_path / "home")
    shutil.copytree(signed_pair.home.root, home.root, symlinks=True, dirs_exist_ok=True)
    kit_layer = signed_pair.index.images[0].layers[-1].blob.digest
    layer = home.store / "blobs" / "sha256" / kit_layer.hex
    data = bytearray(layer.read_bytes())
    data[len(data) // 2] ^= 1
    layer.write_bytes(data)
    with pytest.raises(MealkitError, match="BLOB_DAMAGED"):
        saved(signed_pair, tmp_path / "kit.tar", home=home)
    assert not list(tmp_path.glob("kit.tar*"))


def test_a_policy_and_keys_travel_as_a_proposal(signed_pair, tmp_path):
    """With the fingerprint of each key."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: mealkit.policy/v1\n")
    content = saved(signed_pair, tmp_path / "kit.tar", policy=policy, keys=[signed_pair.public])
    (artifact,) = content.proposals
    found = {item.name: item for item in proposed_files(artifact)}
    assert found["policy.yaml"].data == policy.read_bytes()
    assert found["team.pub"].fingerprint == signed_pair.signer.public.fingerprint


PRIVATE = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("option", "name", "data"),
    [
        ("keys", "team.key", PRIVATE),
        ("keys", "note.txt", b"hello"),
        ("policy", "policy.yaml", PRIVATE),
        ("policy", "policy.yaml", bytes(2 * 1024 * 1024)),
    ],
    ids=range(4),
)
def test_a_private_key_never_travels(signed_pair, tmp_path, option, name, data):
    """Nor anything else that is not what it should be; no archive is written."""
    file: Path = tmp_path / name
    file.write_bytes(data)
    value = [file] if option == "keys" else file
    with pytest.raises(MealkitError) as caught:
        saved(signed_pair, tmp_path / "kit.tar", **{option: value})
    assert caught.value.problems[0].code in {"KEY_INVALID", "USAGE"}
    assert not (tmp_path / "kit.tar").exists()

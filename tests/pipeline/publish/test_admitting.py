"""Images that a policy accepts and refuses, from a registry, the local store and files."""

import io
import json
import tarfile
from base64 import b64decode, b64encode
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fakes.little import Heard
from fakes.policies import kit_image, renamed
from fakes.quirky_registry import QuirkyRegistry
from fakes.served import ROOT
from fakes.signatures import bundle_in, bundled, new_signer, with_bundle

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.descriptor import INDEX, MANIFEST, Descriptor, Platform
from mealkit.oci.image import BytesBlob
from mealkit.oci.index import ImageIndex, index_of
from mealkit.oci.reference import Reference
from mealkit.pipeline.archives.loading import load
from mealkit.pipeline.archives.saving import SaveRequest, save
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.keeping_companions import MAX_COMPANION_BYTES, MAX_KEPT_BYTES
from mealkit.pipeline.image.pulling import pull_content
from mealkit.pipeline.policy.admitting import (
    acceptance,
    named_decisions,
    policies_here,
    require_accepted,
)
from mealkit.pipeline.run.image_to_run import Wanted, image_to_run
from mealkit.pipeline.signatures.signing import sign
from mealkit.pipeline.signatures.verifying import Trusted, verify
from mealkit.pipeline.statements.attesting import Predicate, attest
from mealkit.pipeline.targets import ArchiveFile
from mealkit.recipe.lock import read_lock
from mealkit.stores.attached import SUBJECT
from mealkit.stores.layout import write_layout
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers, attach, detach, fallback_tag
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.verified import SBOM

LOCK = read_lock((ROOT / "kits/rake/kit.lock").read_bytes())
KIT = kit_image(LOCK)
KEY, OTHER_KEY = new_signer(), new_signer()
TRUSTED = Trusted(KeyRing((TrustedKey(KEY.public),)))


@pytest.fixture
def registry():
    """A registry with the kit rake 1.0.0."""
    server = QuirkyRegistry()
    with Registries.from_environment() as registries:
        push(KIT, Reference(server.host, "team/rake", "1.0.0"), registries)
    yield server
    server.close()


@pytest.fixture
def home(tmp_path):
    return home_at(tmp_path / "home")


@pytest.fixture
def policy(tmp_path, monkeypatch):
    """Set the machine's policy: it trusts one key."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(**fields) -> Path:
        path = tmp_path / "policy.yaml"
        keys = {"release": {"pem": KEY.public.pem.decode()}}
        form = {"version": "mealkit.policy/v1", "keys": keys, **fields}
        path.write_text(yaml.safe_dump(form))
        monkeypatch.setenv("MEALKIT_POLICY", str(path))
        return path

    return write


def named(registry: QuirkyRegistry, name: str = "team/rake:1.0.0") -> str:
    return f"{registry.host}/{name}"


def push_as(registry: QuirkyRegistry, content, repository: str, tag: str) -> str:
    with Registries.from_environment() as registries:
        push(content, Reference(registry.host, repository, tag), registries)
    return f"{registry.host}/{repository}:{tag}"


def pulled(text: str, home, architecture: str | None = "amd64"):
    reference, heard = Reference.parse(text), Heard()
    accept = acceptance(reference, heard)
    return pull_content(reference, architecture, home, heard, accept=accept)


def refused(act, *arguments) -> dict[str, str]:
    """The rules that refuse: by their code, what was measured."""
    with pytest.raises(MealkitError) as caught:
        act(*arguments)
    assert caught.value.exit_code == 13
    return {item.code: item.measured or item.message for item in caught.value.problems}


def layers_read(registry: QuirkyRegistry, image=KIT) -> int:
    """How often the layer beside the kit's was asked for."""
    return registry.count("GET", image.layers[0].blob.digest)


def test_without_a_policy_an_unsigned_image_is_pulled(registry, home, monkeypatch, tmp_path):
    """A machine without a policy asks for no signature."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert pulled(named(registry), home).digest == KIT.digest


def test_an_unsigned_image_is_refused_before_a_layer_is_fetched(registry, home, policy):
    """With a policy, pull refuses an unsigned image; only its kit layer was read."""
    policy()
    assert refused(pulled, named(registry), home) == {"POLICY_UNSIGNED": "no valid signature"}
    assert layers_read(registry) == 0
    assert LocalStore(home.store).images() == []


def test_a_signed_image_is_pulled_and_runs_offline(registry, home, policy):
    """The signature that was pulled with an image is enough when the registry is gone."""
    policy(registries={registry.host: {}})
    sign(named(registry), KEY, home)
    assert pulled(named(registry), home).digest == KIT.digest
    registry.close()
    (decision,) = named_decisions(named(registry), policies_here(), home, Heard())
    assert decision.problems == []
    assert decision.facts.verified


def test_a_signature_that_came_after_the_pull_is_fetched(registry, home, policy, monkeypatch):
    """An image that was pulled unsigned is accepted as soon as its registry has a signature."""
    monkeypatch.delenv("MEALKIT_POLICY", raising=False)
    policy_path = policy()
    monkeypatch.delenv("MEALKIT_POLICY")
    pulled(named(registry), home)
    monkeypatch.setenv("MEALKIT_POLICY", str(policy_path))
    assert "POLICY_UNSIGNED" in refused(require_accepted, named(registry), home, Heard())
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    assert require_accepted(named(registry), home, Heard())


def test_the_signature_of_an_index_covers_the_image_that_is_pulled(registry, home, policy):
    """Of a signed index, one image is pulled and accepted, also when the registry is gone."""
    policy()
    other = kit_image(LOCK, architecture="arm64")
    index = index_of([KIT, other], {})
    text = push_as(registry, index, "team/rake", "1.0")
    sign(text, KEY, home)
    assert pulled(text, home).stored == KIT.digest
    registry.close()
    assert require_accepted(text, home, Heard())


def other_key(registry, home):
    sign(named(registry), OTHER_KEY, home)
    return named(registry)


def swapped_tag(registry, home):
    """Another kit, signed by the right key, is put under the tag."""
    other = kit_image(renamed(LOCK, "other"))
    sign(push_as(registry, other, "team/other", "1.0.0"), KEY, home)
    registry.manifests["1.0.0"] = registry.manifests[other.digest]
    return named(registry)


def rolled_back(registry, home):
    """An older version, signed by the right key, is put under the tag of a newer one."""
    sign(named(registry), KEY, home)
    return push_as(registry, KIT, "team/rake", "1.0.1")


def replayed(registry, home):
    """The signature of one image is listed as the signature of another."""
    sign(named(registry), KEY, home)
    evil = kit_image(LOCK, b"evil")
    text = push_as(registry, evil, "team/rake", "1.0")
    for kind in ("", ".sig"):
        tag = fallback_tag(KIT.digest) + kind
        registry.manifests[fallback_tag(evil.digest) + kind] = registry.manifests[tag]
    return text


def downgraded(registry, home):
    """The bundle is removed, the older signature stays."""
    sign(named(registry), KEY, home)
    media_type, raw = registry.manifests[fallback_tag(KIT.digest)]
    index = json.loads(raw)
    index["manifests"] = [item for item in index["manifests"] if "bundle" not in str(item)]
    registry.manifests[fallback_tag(KIT.digest)] = (media_type, json.dumps(index).encode())
    return named(registry)


@pytest.mark.parametrize(
    ("attack", "code"),
    [
        (other_key, "POLICY_UNSIGNED"),
        (swapped_tag, "POLICY_NAME"),
        (rolled_back, "POLICY_NAME"),
        (replayed, "POLICY_UNSIGNED"),
        (downgraded, "POLICY_UNSIGNED"),
    ],
)
def test_an_attack_is_refused_with_its_rule(registry, home, policy, attack, code):
    """Another key, tag, version, signature or form does not bring an image onto the machine."""
    policy()
    text = attack(registry, home_at(home.root.parent / "publisher"))
    found = refused(pulled, text, home)
    assert code in found
    assert LocalStore(home.store).images() == []
    assert layers_read(registry) == 0


def test_a_swapped_layer_is_refused(registry, home, policy):
    """Bytes of a layer that differ from the signed manifest's digest are not stored."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    digest = KIT.layers[0].blob.digest
    registry.blobs[digest] = bytes(len(registry.blobs[digest]))
    with pytest.raises(MealkitError, match=r"REGISTRY_DIGEST|IMAGE_INVALID"):
        pulled(named(registry), home)
    assert LocalStore(home.store).images() == []


def test_a_manifest_under_the_signed_digest_has_its_bytes(registry, home, policy):
    """Other bytes under the digest that is signed are refused before they are read."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    evil = kit_image(LOCK, b"evil")
    registry.manifests[KIT.digest] = registry.manifests["1.0.0"][0], evil.raw_manifest
    with pytest.raises(MealkitError, match="REGISTRY_DIGEST"):
        pulled(f"{registry.host}/team/rake@{KIT.digest}", home)


def test_a_swapped_kit_layer_cannot_tell_another_licence(registry, home, policy):
    """The lock that the policy reads is the one of the signed digest."""
    policy(licenses={"allow": ["MIT"]})
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    evil = kit_image(
        LOCK.model_copy(update={"about": LOCK.about.model_copy(update={"license": "MIT"})})
    )
    digest = KIT.layers[1].blob.digest
    registry.blobs[digest] = b"".join(evil.layers[1].blob.chunks())
    with pytest.raises(MealkitError) as caught:
        pulled(named(registry), home)
    assert caught.value.problems[0].code in {"REGISTRY_DIGEST", "IMAGE_INVALID", "BLOB_DAMAGED"}


def test_a_tag_that_moves_after_the_decision_changes_nothing(registry, home, policy):
    """What is pulled is the digest that was accepted, although the tag names another image then."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    evil = kit_image(LOCK, b"evil")
    reference, heard = Reference.parse(named(registry)), Heard()
    accept = acceptance(reference, heard)

    def accept_and_move(image, registries) -> None:
        accept(image, registries)
        push(evil, reference, registries)

    done = pull_content(reference, "amd64", home, heard, accept=accept_and_move)
    assert done.digest == KIT.digest


def test_attestations_count_by_key_and_subject(registry, home, policy):
    """A required SBOM counts if a trusted key has signed it for this image, not otherwise."""
    policy(attestations={"sbom": {}})
    publisher = home_at(home.root.parent / "publisher")
    sign(named(registry), KEY, publisher)
    assert "POLICY_ATTESTATION" in refused(pulled, named(registry), home)
    attest(named(registry), (Predicate(SBOM, {"bomFormat": "CycloneDX"}),), OTHER_KEY, publisher)
    assert "POLICY_ATTESTATION" in refused(pulled, named(registry), home)
    attest(named(registry), (Predicate(SBOM, {"bomFormat": "CycloneDX"}),), KEY, publisher)
    assert pulled(named(registry), home).digest == KIT.digest


def test_a_tampered_sbom_does_not_count(registry, home, policy):
    """A bundle whose statement was changed has no valid signature."""
    policy(attestations={"sbom": {}})
    publisher = home_at(home.root.parent / "publisher")
    sign(named(registry), KEY, publisher)
    attest(named(registry), (Predicate(SBOM, {"bomFormat": "CycloneDX"}),), KEY, publisher)
    reference = Reference.parse(named(registry))
    with Registries.from_environment() as registries:
        listed = RegistryReferrers(registries.sources(reference), reference)
        found = [listed.artifact(item) for item in listed.listed(KIT.digest)]
        (sbom,) = (item for item in found if SBOM in str(item.manifest.annotations))
        form = bundle_in(sbom)
        form["dsseEnvelope"]["payload"] = b64encode(
            b64decode(form["dsseEnvelope"]["payload"]).replace(b"CycloneDX", b"CycloneDY")
        ).decode()
        del registry.manifests[sbom.digest]
        attach(with_bundle(json.dumps(form).encode(), KIT.descriptor), reference, registries)
        detach(KIT.digest, sbom.digest, reference, registries)
    found = refused(pulled, named(registry), home)
    assert "POLICY_ATTESTATION" in found


def test_a_signature_whose_subject_is_gone_accepts_nothing_else(registry, home, policy):
    """After the signed image is deleted, its signature does not count for the next one."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    del registry.manifests[KIT.digest]
    evil = kit_image(LOCK, b"evil")
    assert "POLICY_UNSIGNED" in refused(pulled, push_as(registry, evil, "team/rake", "1.0.0"), home)


def test_a_policy_that_is_replaced_or_gone_accepts_nothing(registry, home, policy, monkeypatch):
    """A policy that is damaged, deleted, or unreadable refuses what it accepted before."""
    path = policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    pulled(named(registry), home)
    for damage, code in (
        (lambda: path.write_text("version: mealkit.policy/v1\nkeys: {}\n"), "POLICY_INVALID"),
        (lambda: path.chmod(0o666), "POLICY_UNREADABLE"),
        (path.unlink, "POLICY_UNREADABLE"),
        (lambda: path.symlink_to(path.parent / "gone"), "POLICY_UNREADABLE"),
    ):
        damage()
        assert list(refused(require_accepted, named(registry), home, Heard())) == [code]


def test_every_policy_must_accept(registry, home, policy, tmp_path):
    """A user's policy adds to another one, and cannot replace it."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    users = tmp_path / "config/mealkit/policy.yaml"
    users.parent.mkdir(parents=True)
    form = {
        "version": "mealkit.policy/v1",
        "keys": {"mine": {"pem": OTHER_KEY.public.pem.decode()}},
    }
    users.write_text(yaml.safe_dump(form))
    assert list(refused(pulled, named(registry), home)) == ["POLICY_UNSIGNED"]
    sign(named(registry), OTHER_KEY, home_at(home.root.parent / "publisher"))
    assert pulled(named(registry), home).digest == KIT.digest


def test_load_asks_the_policy_before_anything_is_stored(registry, home, policy, tmp_path):
    """An archive is loaded if what is in it is signed for this machine, and not otherwise."""
    policy()
    publisher = home_at(tmp_path / "publisher")
    LocalStore(publisher.store).put(KIT, ["rake:1.0.0"])
    save(SaveRequest(("rake:1.0.0",), tmp_path / "unsigned.tar"), publisher, Heard())
    assert "POLICY_UNSIGNED" in refused(load, [tmp_path / "unsigned.tar"], home, Heard())
    assert LocalStore(home.store).images() == []
    sign("rake:1.0.0", KEY, publisher)
    save(SaveRequest(("rake:1.0.0",), tmp_path / "signed.tar"), publisher, Heard())
    load([tmp_path / "signed.tar"], home, Heard())
    assert require_accepted("rake:1.0.0", home, Heard())


def test_a_layout_without_a_signature_is_refused(home, policy, tmp_path):
    """An OCI layout brings its signatures with it; without one it is refused."""
    policy()
    write_layout(KIT, tmp_path / "layout", "rake:1.0.0")
    text = f"oci:{tmp_path / 'layout'}"
    assert "POLICY_UNSIGNED" in refused(require_accepted, text, home, Heard())


@pytest.mark.parametrize("damage", ["gone", "other bytes", "manifest"])
def test_damaged_signatures_by_others_change_nothing(registry, home, policy, damage):
    """An artifact that is listed and cannot be read does not hide the signature that counts."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    with Registries.from_environment() as registries:
        for number in range(4):
            junk = with_bundle(bytes([number]) * 99, KIT.descriptor)
            attach(junk, Reference(registry.host, "team/rake"), registries)
            blob = junk.blobs[0].digest
            match damage:
                case "gone":
                    del registry.blobs[blob]
                case "other bytes":
                    registry.blobs[blob] = b"x" * 99
                case _:
                    media_type, raw = registry.manifests[junk.digest]
                    registry.manifests[junk.digest] = (media_type, raw + b" ")
    kept = pulled(named(registry), home)
    assert (kept.digest, kept.companions) == (KIT.digest, 2)
    assert verify(named(registry), TRUSTED, home).verified
    registry.close()
    assert require_accepted(named(registry), home, Heard())


def test_large_artifacts_by_others_do_not_fill_the_disk(registry, home, policy):
    """Small artifacts, such as signatures, are kept first, and all together up to a limit."""
    policy()
    sign(named(registry), KEY, home_at(home.root.parent / "publisher"))
    large = BytesBlob(bytes(MAX_COMPANION_BYTES - 10_000))
    registry.blobs |= {blob.digest: blob.data for blob in (large, BytesBlob(b"{}"))}
    tag = fallback_tag(KIT.digest)
    index = json.loads(registry.manifests[tag][1])
    for number in range(MAX_KEPT_BYTES // MAX_COMPANION_BYTES + 3):
        layer = Attachment("x/y", large, {"number": str(number)})
        junk = artifact_of("x/y", [layer], subject=KIT.descriptor)
        registry.manifests[junk.digest] = (MANIFEST, junk.raw_manifest)
        index["manifests"].insert(0, junk.descriptor.as_json())
    registry.manifests[tag] = (INDEX, json.dumps(index).encode())
    assert pulled(named(registry), home).companions == 2 + MAX_KEPT_BYTES // MAX_COMPANION_BYTES
    registry.close()
    assert require_accepted(named(registry), home, Heard())


def test_a_registry_that_does_not_answer_is_not_unsigned(registry, home, policy):
    """An error of the registry while it lists signatures is an error, not a decision."""
    policy()
    registry.quirks.append(lambda handler: "sha256-" in handler.path and handler.answer(403, b"{}"))
    with pytest.raises(MealkitError) as caught:
        pulled(named(registry), home)
    assert caught.value.problems[0].code.startswith("REGISTRY_")


@pytest.mark.parametrize("several", [False, True])
def test_an_archive_keeps_its_signatures_when_it_is_run(home, policy, tmp_path, several):
    """What run stores from an archive is accepted by its name the next time, without the archive."""
    policy()
    publisher = home_at(tmp_path / "publisher")
    arm = kit_image(LOCK, architecture="arm64")
    LocalStore(publisher.store).put(index_of([KIT, arm], {}) if several else KIT, ["rake:1.0.0"])
    sign("rake:1.0.0", KEY, publisher)
    one = "amd64" if several else None
    request = SaveRequest(("rake:1.0.0",), tmp_path / "rake.tar", architecture=one)
    save(request, publisher, Heard())
    target = ArchiveFile(f"oci-archive:{tmp_path}/rake.tar", tmp_path / "rake.tar")
    wanted = Wanted(target.text, target, Platform("linux", "amd64"), None)
    assert image_to_run(wanted, target, home, Heard()).digest == KIT.digest
    if not several:  # the index in the archive is about an image that was left out
        assert verify(target.text, TRUSTED, home).verified
    (tmp_path / "rake.tar").unlink()
    assert require_accepted("rake:1.0.0", home, Heard())


def forged_archive(folder: Path, raw_index: bytes, publisher) -> Path:
    """An archive with an evil image, and a signed index that is said to be about it."""
    evil = kit_image(LOCK, b"evil")
    LocalStore(publisher.store).put(evil, ["rake:1.0.0"])
    save(SaveRequest(("rake:1.0.0",), folder / "plain.tar"), publisher, Heard())
    index = Descriptor(INDEX, Digest.of(raw_index), len(raw_index))
    signature = bundled(KEY, index)
    blobs = [raw_index, signature.raw_manifest]
    blobs += [b"".join(map(bytes, blob.chunks())) for blob in signature.blobs]
    with tarfile.open(folder / "plain.tar") as plain:
        members = {item.name: plain.extractfile(item).read() for item in plain if item.isfile()}
    members |= {f"blobs/sha256/{Digest.of(data).hex}": data for data in blobs}
    form = json.loads(members["index.json"])
    for item, subject in ((index, evil.digest), (signature.descriptor, index.digest)):
        form["manifests"].append(replace(item, annotations={SUBJECT: subject}).as_json())
    members["index.json"] = json.dumps(form).encode()
    with tarfile.open(folder / "forged.tar", "w") as forged:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            forged.addfile(header, io.BytesIO(data))
    return folder / "forged.tar"


@pytest.mark.parametrize("kind", ["of another image", "a list of kits", "of this image"])
def test_an_archive_cannot_say_which_index_covers_an_image(home, policy, tmp_path, kind):
    """An index that is signed counts for an image only if it is an image index that lists it."""
    policy()
    listed = KIT if kind == "of another image" else kit_image(LOCK, b"evil")
    form = json.loads(index_of([listed], {}).raw_manifest)
    if kind == "a list of kits":
        form["artifactType"] = "application/vnd.example.catalogue"
    raw = json.dumps(form).encode()
    path = forged_archive(tmp_path, raw, home_at(tmp_path / "publisher"))
    if kind == "of this image":
        assert load([path], home, Heard()).images
        return
    with pytest.raises(MealkitError) as caught:
        load([path], home, Heard())
    assert caught.value.problems[0].code == "IMAGE_INVALID"
    target = ArchiveFile(f"oci-archive:{path}", path)
    wanted = Wanted(target.text, target, Platform("linux", "amd64"), None)
    assert "POLICY_UNSIGNED" in refused(image_to_run, wanted, target, home, Heard())
    assert LocalStore(home.store).images() == []


def test_a_signed_list_of_kits_is_not_a_signed_kit(registry, home, policy):
    """An index with a type of its own, such as a catalogue, does not cover what it lists."""
    policy()
    evil = kit_image(LOCK, b"evil")
    form = json.loads(index_of([evil], {}).raw_manifest)
    raw = json.dumps(form | {"artifactType": "application/vnd.example.catalogue"}).encode()
    text = push_as(registry, ImageIndex(raw, (evil,)), "team/rake", "1.0")
    sign(text, KEY, home_at(home.root.parent / "publisher"))
    with pytest.raises(MealkitError) as caught:
        pulled(text, home)
    assert [item.code for item in caught.value.problems] == ["IMAGE_NOT_FOUND"]
    assert LocalStore(home.store).images() == []

"""A kit may demand its publisher's signature of the weights; the lock checks and records it."""

import hashlib
import json
import shutil

import pytest
from fakes.little import Heard, edit_kit, little_kit
from fakes.served import ROOT, Registry

from mealkit.digest import Digest
from mealkit.errors import MealkitError, Owner
from mealkit.kit.load import load_kit
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.image import BytesBlob
from mealkit.oci.model_artifacts import (
    MODELPACK,
    MODELPACK_CONFIG,
    Purpose,
    file_annotations,
    raw_layer,
)
from mealkit.oci.reference import Reference
from mealkit.pipeline.kit.locking import check_lock, lock_kit
from mealkit.recipe.kit import kit_json
from mealkit.recipe.lock import read_lock
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.model_signing import sign_model
from mealkit.trust.signing_keys import Algorithm, new_key, read_signing_key

DATA = ROOT / "tests" / "data" / "publisher"


def make_key():
    """A publisher's private key, and its public one in PEM."""
    private, public = new_key(Algorithm.ECDSA_P256, None)
    return read_signing_key(private, "key", lambda: b""), public


PUBLISHER, OTHER = make_key(), make_key()


def signature_of(folder, key=PUBLISHER) -> bytes:
    files = {
        path.name: Digest.of(path.read_bytes())
        for path in folder.iterdir()
        if path.name != "model.sig"
    }
    return sign_model("little", files, key[0])


def sign(kit, key=PUBLISHER) -> None:
    (kit / "weights" / "model.sig").write_bytes(signature_of(kit / "weights", key))


def demand(kit, **more: str) -> None:
    """Demand the signature, with the publisher's key in the kit's folder."""
    (kit / "publisher.pub").write_bytes(PUBLISHER[1])
    signed_by = {"key": "publisher.pub", **more}
    edit_kit(kit, lambda form: form["model"]["weights"][0].update(signed_by=signed_by))


@pytest.fixture
def signed(kit):
    """A little kit whose publisher signed its weights, which the kit demands."""
    demand(kit)
    sign(kit)
    return kit


def locked(kit, home):
    lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard())
    return read_lock((kit / "kit.lock").read_bytes())


def refusal(kit, home):
    with pytest.raises(MealkitError) as caught:
        locked(kit, home)
    found = caught.value.problems[0]
    assert (found.code, found.owner) == ("WEIGHTS_SIGNATURE", Owner.UPSTREAM)
    return found


def test_a_lock_records_whose_signature_was_verified(signed, home):
    """The key, the signature's digest, and the files; nothing is asked for a second time."""
    lock = locked(signed, home)
    (found,) = lock.model.signatures
    raw = (signed / "weights" / "model.sig").read_bytes()
    assert found.key == PUBLISHER[0].public.fingerprint
    assert found.sha256 == Digest.of(raw)
    assert found.files == ("config.json", "model.safetensors")
    assert check_lock(signed, home).changes == ()
    before = lock.model.model_copy(update={"signatures": ()})
    assert lock.model_copy(update={"model": before}).recipe == lock.recipe


def test_a_signature_of_the_publishers_own_tool_is_accepted(kit, home):
    """As model_signing 1.1.1 of PyPI wrote it for the weights of the little kit."""
    demand(kit)
    shutil.copy(DATA / "publisher.pub", kit)
    shutil.copy(DATA / "model.sig", kit / "weights")
    assert len(locked(kit, home).model.signatures) == 1
    form = json.loads((kit / "weights" / "config.json").read_text())
    (kit / "weights" / "config.json").write_text(json.dumps({**form, "more": 1}))
    assert "'config.json' is not the file that was signed" in refusal(kit, home).message


def test_a_lock_without_a_demand_is_as_it_was_before(kit, home):
    """Neither the lock nor the digest of what the kit asks for has a field more."""
    lock = locked(kit, home)
    assert "signatures" not in json.loads((kit / "kit.lock").read_bytes())["model"]
    (entry,) = load_kit(kit).kit.model.weights
    assert "signed_by" not in kit_json(entry)
    wanted = hashlib.sha256(
        json.dumps([[kit_json(entry)], False], sort_keys=True, separators=(",", ":")).encode()
    )
    assert lock.requests.weights.hex == wanted.hexdigest()


def test_another_file_than_the_signed_one_is_refused(signed, home):
    """The problem names the file, its digest, the signed one and the publisher as the owner."""
    locked(signed, home)
    before = Digest.of((signed / "weights" / "config.json").read_bytes())
    (signed / "weights" / "config.json").write_text('{"hidden_size": 4, "model_type": "b"}')
    found = refusal(signed, home)
    assert "config.json" in found.message
    assert found.where == "model.weights.0"
    after = Digest.of((signed / "weights" / "config.json").read_bytes())
    assert (found.measured, found.required) == (after.hex, before.hex)


def test_a_file_that_was_not_signed_is_refused(signed, home):
    """Every file that the entry gives must be in the signature."""
    (signed / "weights" / "more.json").write_text("{}")
    edit_kit(signed, lambda form: form["model"]["weights"][0]["files"].append("more.json"))
    assert "'more.json' is not in the model's signature" in refusal(signed, home).message


def test_another_publisher_is_refused(signed, home):
    """The problem has the fingerprint of the key that the kit demands."""
    sign(signed, OTHER)
    found = refusal(signed, home)
    assert PUBLISHER[0].public.fingerprint in found.required


def test_another_key_makes_the_lock_stale_and_is_verified(signed, home):
    """A build with --locked stops; a lock is made again only with that key's signature."""
    locked(signed, home)
    (signed / "publisher.pub").write_bytes(OTHER[1])
    assert [item.path for item in check_lock(signed, home).changes] == ["requests.weights"]
    assert OTHER[0].public.fingerprint in refusal(signed, home).required
    sign(signed, OTHER)
    (found,) = locked(signed, home).model.signatures
    assert found.key == OTHER[0].public.fingerprint


def test_a_signature_may_lie_in_the_kits_folder(kit, home):
    """For a source that does not have it; another one makes the lock stale."""
    demand(kit, signature_file="publisher.sig")
    (kit / "publisher.sig").write_bytes(signature_of(kit / "weights"))
    (first,) = locked(kit, home).model.signatures
    (kit / "publisher.sig").write_bytes(signature_of(kit / "weights"))
    (second,) = locked(kit, home).model.signatures
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda kit: (kit / "publisher.pub").unlink(), "KIT_FILE_MISSING", "publisher.pub"),
        (lambda kit: (kit / "publisher.pub").write_text("no key"), "KEY_INVALID", "publisher.pub"),
        (lambda kit: (kit / "weights/model.sig").unlink(), "SOURCE_NOT_FOUND", "model.sig"),
        (lambda kit: (kit / "weights/model.sig").write_text("{}"), "WEIGHTS_SIGNATURE", "bundle"),
        (lambda kit: demand(kit, signature="a", signature_file="b"), "KIT_INVALID", "both"),
    ],
    ids=["no key", "another key file", "no signature", "no bundle", "two signatures"],
)
def test_a_demand_that_cannot_be_checked_is_a_problem(signed, home, change, code, words):
    """Each with the file that is wrong."""
    change(signed)
    with pytest.raises(MealkitError) as caught:
        locked(signed, home)
    found = caught.value.problems[0]
    assert found.code == code
    assert words in found.message


def test_a_signature_beside_the_files_in_a_registry_is_found(tmp_path, home):
    """It is a layer of the artifact like the files, and read at the digest that is locked."""
    kit = little_kit(tmp_path / "signed")
    sign(kit)
    layers = [
        Attachment(
            raw_layer(Purpose.WEIGHT),
            BytesBlob(path.read_bytes()),
            file_annotations(path.name, path.stat().st_size),
        )
        for path in sorted((kit / "weights").iterdir())
    ]
    config = Attachment(MODELPACK_CONFIG, BytesBlob(b"{}"), {})
    with (
        Registry(tmp_path / "registry") as registry,
        Registries.from_environment() as registries,
    ):
        reference = Reference(registry.host, "models/signed", "1")
        push(artifact_of(MODELPACK, layers, config=config), reference, registries)
        files = ["model.safetensors", "config.json"]
        entry = {"source": "oci", "reference": str(reference), "files": files}
        edit_kit(kit, lambda form: form["model"].update(weights=[entry]))
        demand(kit)
        (found,) = locked(kit, home).model.signatures
    assert found.files == ("config.json", "model.safetensors")

"""Only what a trusted key signed about exactly this image counts; each attack has its code."""

import base64
import copy
import json

import pytest
from fakes.signatures import (
    REPOSITORY,
    SIGNED_SECONDS,
    Listed,
    bundle_in,
    bundled,
    described,
    new_signer,
    ring_of,
    simple,
    with_bundle,
)

from mealkit.digest import canonical_json
from mealkit.errors import RegistryError, TrustError, failure
from mealkit.oci.artifact import Attachment, artifact_of
from mealkit.oci.descriptor import CONFIG
from mealkit.oci.image import BytesBlob
from mealkit.pipeline.signatures.gathering import MAX_ARTIFACTS, gather
from mealkit.pipeline.signatures.verifying import require_signed
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.trust.bundle import MAX_BUNDLE_BYTES, signed_bundle
from mealkit.trust.signing_keys import Algorithm
from mealkit.trust.simple_signing import (
    PAYLOAD_MEDIA_TYPE,
    signature_artifact,
    simple_payload,
    simple_signature,
)
from mealkit.trust.verified import PROVENANCE, SIGNED, Form, KeySigner

KIT, OTHER = described("kit"), described("another kit")
TEAM, STRANGER = new_signer(), new_signer()
RING = ring_of(TEAM)


def codes(gathered) -> list[str]:
    return [one.code for one in gathered.refused]


def refused(*artifacts, ring=RING, **options) -> list[str]:
    """The codes for artifacts of which none counts."""
    found = gather(KIT, Listed(list(artifacts)), ring, **options)
    assert found.verified == ()
    return codes(found)


def changed(artifact, change) -> bytes:
    form = copy.deepcopy(bundle_in(artifact))
    change(form)
    return canonical_json(form)


def statement(**changes) -> bytes:
    form = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": KIT.digest.hex}}],
        "predicateType": SIGNED,
        "predicate": {},
    }
    return canonical_json(form | changes)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_both_layouts_count_in_the_local_store(algorithm, tmp_path):
    """A bundle and a signature in the older layout are found where the local store keeps them."""
    signer = new_signer(algorithm)
    attached = Attached(LocalStore(tmp_path))
    attached.add(bundled(signer, KIT))
    attached.add(simple([signer], KIT))
    found = gather(KIT, attached, ring_of(signer))
    assert codes(found) == []
    assert [one.form for one in found.verified] == [Form.BUNDLE, Form.SIMPLE_SIGNING]
    bundle, older = found.verified
    assert bundle.signer == KeySigner(signer.public.fingerprint)
    assert (bundle.subject, bundle.predicate_type) == (KIT.digest, SIGNED)
    assert bundle.signed_seconds == older.signed_seconds == SIGNED_SECONDS
    assert (bundle.reference, older.reference) == (None, REPOSITORY)


def test_a_signature_by_an_older_tool_names_no_subject():
    """A signature of cosign before version 3, whose artifact is typed by its config, is found."""
    made = simple([TEAM], KIT)
    layers = [
        Attachment(item.media_type, blob, item.annotations)
        for item, blob in zip(made.manifest.layers, made.blobs, strict=False)
    ]
    older = artifact_of("x/y", layers, config=Attachment(CONFIG, made.blobs[-1], {}))
    form = json.loads(older.raw_manifest)
    del form["artifactType"]
    older = type(older)(canonical_json(form), older.blobs)
    found = gather(KIT, Listed([older]), RING, legacy=True)
    assert [one.form for one in found.verified] == [Form.SIMPLE_SIGNING]


def test_no_signature():
    """An image without any signature is refused."""
    with pytest.raises(TrustError) as caught:
        require_signed(gather(KIT, Listed(), RING), KIT.digest, "here")
    assert caught.value.problems[0].code == "SIGNATURE_MISSING"


def test_a_statement_about_an_image_is_not_its_signature():
    """Provenance by a trusted key counts as that, and does not make the image signed."""
    found = gather(KIT, Listed([bundled(TEAM, KIT, PROVENANCE)]), RING)
    assert [one.predicate_type for one in found.verified] == [PROVENANCE]
    with pytest.raises(TrustError, match="only signed statements") as caught:
        require_signed(found, KIT.digest, "here")
    assert caught.value.problems[0].code == "SIGNATURE_MISSING"


def test_another_key():
    """Signatures by a key that is not trusted are refused, and the problem names that key."""
    artifacts = [bundled(STRANGER, KIT), simple([STRANGER], KIT)]
    found = gather(KIT, Listed(artifacts), RING)
    assert codes(found) == ["SIGNATURE_KEY", "SIGNATURE_KEY"]
    assert STRANGER.public.fingerprint in found.refused[0].message


def test_many_signatures_by_others_are_a_few_problems():
    """A problem is told once, and of hundreds of different ones only the first few."""
    same = [bundled(STRANGER, KIT, f"https://example.org/{number}") for number in range(20)]
    with pytest.raises(TrustError) as caught:
        require_signed(gather(KIT, Listed(same), RING), KIT.digest, "here")
    assert len(caught.value.problems) == 1
    others = [bundled(new_signer(), KIT) for _ in range(40)]
    with pytest.raises(TrustError) as caught:
        require_signed(gather(KIT, Listed(others), RING), KIT.digest, "here")
    assert len(caught.value.problems) == 17
    assert caught.value.problems[-1].message == "24 more signatures do not count"


def test_one_of_several_signers_is_enough():
    """A signature by another key does not hide the one that counts, in either layout."""
    artifacts = [bundled(STRANGER, KIT), bundled(TEAM, KIT), simple([STRANGER, TEAM], KIT)]
    found = gather(KIT, Listed(artifacts), RING)
    assert [one.form for one in found.verified] == [Form.BUNDLE, Form.SIMPLE_SIGNING]
    assert codes(found) == ["SIGNATURE_KEY", "SIGNATURE_KEY"]


def test_an_altered_payload():
    """A statement that was changed after it was signed is refused, in both layouts."""

    def alter(form):
        payload = base64.b64decode(form["dsseEnvelope"]["payload"])
        other = payload.replace(OTHER.digest.hex.encode(), KIT.digest.hex.encode())
        form["dsseEnvelope"]["payload"] = base64.b64encode(other).decode()

    bundle = with_bundle(changed(bundled(TEAM, OTHER), alter), KIT)
    assert refused(bundle) == ["SIGNATURE_ALTERED"]
    made = simple([TEAM], OTHER)
    layer = made.manifest.layers[0]
    payload = b"".join(map(bytes, made.blobs[0].chunks()))
    forged = payload.replace(OTHER.digest.encode(), KIT.digest.encode())
    attachment = Attachment(PAYLOAD_MEDIA_TYPE, BytesBlob(forged), layer.annotations)
    assert refused(signature_artifact([attachment], KIT), legacy=True) == ["SIGNATURE_KEY"]


def test_a_replayed_signature_of_another_kit():
    """A real signature of another kit, attached to this one, is refused in both layouts."""
    bundle = with_bundle(canonical_json(bundle_in(bundled(TEAM, OTHER))), KIT)
    assert refused(bundle) == ["SIGNATURE_SUBJECT"]
    made = simple([TEAM], OTHER)
    layers = [
        Attachment(item.media_type, blob, item.annotations)
        for item, blob in zip(made.manifest.layers, made.blobs, strict=False)
    ]
    assert refused(signature_artifact(layers, KIT), legacy=True) == ["SIGNATURE_SUBJECT"]


def test_a_referrer_that_is_about_something_else():
    """An artifact that a registry lists for this image, but that names another one, is refused."""
    assert refused(bundled(TEAM, OTHER)) == ["SIGNATURE_SUBJECT"]


@pytest.mark.parametrize(
    ("limits", "now", "code"),
    [
        ({"valid_until": SIGNED_SECONDS}, SIGNED_SECONDS + 10, "SIGNATURE_EXPIRED"),
        ({"valid_from": SIGNED_SECONDS + 1}, SIGNED_SECONDS + 10, "SIGNATURE_EXPIRED"),
        ({"revoked_since": SIGNED_SECONDS + 5}, SIGNED_SECONDS + 10, "SIGNATURE_REVOKED"),
        ({}, SIGNED_SECONDS - 1_000, "SIGNATURE_EXPIRED"),
    ],
    ids=["expired", "not yet valid", "revoked", "in the future"],
)
def test_a_key_at_the_wrong_time(limits, now, code):
    """A signature outside the time of its key is refused, in both layouts."""
    artifacts = bundled(TEAM, KIT), simple([TEAM], KIT)
    found = refused(*artifacts, ring=ring_of(TEAM, **limits), now_seconds=now, legacy=True)
    assert found == [code, code]


def test_a_rotated_key_keeps_what_it_signed():
    """After a planned change of keys, what the old key signed in its time stays good."""
    ring = ring_of(TEAM, valid_until=SIGNED_SECONDS + 1)
    found = gather(KIT, Listed([bundled(TEAM, KIT)]), ring, now_seconds=SIGNED_SECONDS * 2)
    assert len(found.verified) == 1


def test_a_downgrade_to_the_older_layout():
    """A signature in the older layout alone is refused, unless that is asked for."""
    older = simple([TEAM], KIT)
    assert refused(older) == ["SIGNATURE_LEGACY"]
    # A bundle by another key, or with another statement, does not make up for it.
    found = gather(KIT, Listed([older, bundled(TEAM, KIT, PROVENANCE)]), RING)
    assert codes(found) == ["SIGNATURE_LEGACY"]
    assert len(gather(KIT, Listed([older]), RING, legacy=True).verified) == 1


def _two(form):
    form["dsseEnvelope"]["signatures"] *= 2


def _none(form):
    form["dsseEnvelope"]["signatures"] = []


def _file(form):
    form["messageSignature"] = {}


def _material(form):
    form["verificationMaterial"] = {"tlogEntries": []}


def _both(form):
    form["verificationMaterial"]["certificate"] = {"rawBytes": "AAAA"}


INVALID = {
    "not JSON": lambda: b"{",
    "two names": lambda: b'{"mediaType":"a","mediaType":"b"}',
    "deep": lambda: b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
    "too large": lambda: b" " * (MAX_BUNDLE_BYTES + 1),
    "another version": lambda: changed(
        bundled(TEAM, KIT),
        lambda form: form.update(mediaType="application/vnd.dev.sigstore.bundle.v9+json"),
    ),
    "two signatures": lambda: changed(bundled(TEAM, KIT), _two),
    "no signatures": lambda: changed(bundled(TEAM, KIT), _none),
    "of a file": lambda: changed(bundled(TEAM, KIT), _file),
    "a key and a certificate": lambda: changed(bundled(TEAM, KIT), _both),
    "no key": lambda: changed(bundled(TEAM, KIT), _material),
    "two subjects": lambda: signed_bundle(
        statement(
            subject=[{"digest": {"sha256": one.digest.hex}} for one in (OTHER, KIT)],
        ),
        TEAM,
    ),
    "another digest algorithm": lambda: signed_bundle(
        statement(subject=[{"digest": {"sha512": KIT.digest.hex * 2}}]), TEAM
    ),
    "a digest in capitals": lambda: signed_bundle(
        statement(subject=[{"digest": {"sha256": KIT.digest.hex.upper()}}]), TEAM
    ),
    "another statement version": lambda: signed_bundle(
        statement(_type="https://in-toto.io/Statement/v0.1"), TEAM
    ),
    "a wrong time": lambda: signed_bundle(
        statement(
            subject=[
                {
                    "digest": {"sha256": KIT.digest.hex},
                    "annotations": {"dev.mealkit.signed-at": "yesterday"},
                }
            ]
        ),
        TEAM,
    ),
}


@pytest.mark.parametrize("what", list(INVALID))
def test_bundles_that_are_not_valid(what):
    """A bundle that could be read in two ways, is too large or is something else is refused."""
    assert refused(with_bundle(INVALID[what](), KIT)) == ["SIGNATURE_INVALID"]


@pytest.mark.parametrize(
    "payload",
    [
        b"[]",
        b'{"critical":{}}',
        b'{"critical":{"type":"x"}}',
        b" " * 70_000,
        simple_payload(KIT.digest, REPOSITORY, 10**30),
        simple_payload(KIT.digest, REPOSITORY, -1),
    ],
    ids=["a list", "empty", "another type", "too large", "an endless time", "before 1970"],
)
def test_payloads_of_the_older_layout_that_are_not_valid(payload):
    """A payload in the older layout that is something else, or too large, is refused."""
    artifact = signature_artifact([simple_signature(payload, TEAM)], KIT)
    assert refused(artifact, legacy=True) == ["SIGNATURE_INVALID"]


def test_a_layer_without_a_signature():
    """A payload whose annotation has no signature, or none in base64, is refused."""
    for annotations in ({}, {"dev.cosignproject.cosign/signature": "%%%"}):
        layer = Attachment(PAYLOAD_MEDIA_TYPE, BytesBlob(b"{}"), annotations)
        assert refused(signature_artifact([layer], KIT), legacy=True) == ["SIGNATURE_INVALID"]


class Unreachable(Listed):
    """A registry whose connection ends between the list and what it lists."""

    def artifact(self, listed):
        raise failure("REGISTRY_UNREACHABLE", "the connection was lost")


def test_a_registry_that_does_not_answer_is_not_an_unsigned_image():
    """Without a connection the problem is the registry, and not a signature."""
    with pytest.raises(RegistryError):
        gather(KIT, Unreachable([bundled(TEAM, KIT)]), RING)


def test_too_many_artifacts():
    """A registry that lists more signatures than anyone makes is refused before they are read."""
    many = [bundled(STRANGER, KIT, f"https://example.org/{n}") for n in range(MAX_ARTIFACTS + 1)]
    with pytest.raises(TrustError, match=f"the limit is {MAX_ARTIFACTS}") as caught:
        gather(KIT, Listed(many), RING)
    assert caught.value.problems[0].code == "SIGNATURE_INVALID"


def test_copies_of_one_signature_count_once():
    """An older artifact under a tag that moved does not make a second signature."""
    found = gather(
        KIT,
        Listed([bundled(TEAM, KIT), simple([TEAM], KIT), simple([STRANGER, TEAM], KIT)]),
        RING,
    )
    assert len(found.verified) == 2

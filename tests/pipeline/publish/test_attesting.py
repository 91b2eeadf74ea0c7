"""SBOM, provenance and test results are signed, attached where the image is, and read back."""

import json

import pytest
from fakes.little import OFFLINE, Heard, little_kit
from fakes.served import Registry

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.signatures.gathering import gather
from mealkit.pipeline.statements.attesting import (
    Claim,
    ClaimOptions,
    Predicate,
    attest,
    predicate_file,
    predicate_of,
)
from mealkit.pipeline.targets import image_named
from mealkit.stores.attached import Attached
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import Algorithm, new_key, read_signing_key
from mealkit.trust.verified import PROVENANCE, SBOM, TEST_RESULT

pytestmark = pytest.mark.xdist_group("attesting")
KEY = read_signing_key(new_key(Algorithm.ECDSA_P256, None)[0], "key", bytes)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A little kit in a store and in a registry."""
    folder = tmp_path_factory.mktemp("attested")
    with Registry(folder / "registry") as registry, pytest.MonkeyPatch.context() as patch:
        for name, value in (*OFFLINE.items(), ("MEALKIT_PLAIN_HTTP", registry.host)):
            patch.setenv(name, value)
        kit, home = little_kit(folder / "kit"), home_at(folder / "home")
        reference = f"{registry.host}/kits/a:1"
        outputs = Outputs(push=[reference])
        report = build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())
        yield kit, home, reference, report


def in_store(home):
    store = LocalStore(home.store)
    ring = KeyRing((TrustedKey(KEY.public),))
    return gather(store.resolve("little:1.0.0"), Attached(store), ring)


def in_registry(reference, subject):
    named = image_named(reference).reference
    ring = KeyRing((TrustedKey(KEY.public),))
    with Registries.from_environment() as registries:
        inner = RegistryReferrers((registries.client(named),), named)
        listed = inner.listed(subject.digest)
        return gather(subject, inner, ring), listed


def test_statements_are_attached_in_the_registry_and_in_the_store(built):
    """Each is about exactly this image; its type is an annotation, which policies ask for."""
    _, home, reference, report = built
    made = tuple(
        predicate_of(claim, reference, ClaimOptions(), home)
        for claim in (Claim.SBOM, Claim.PROVENANCE)
    )
    digest, done = attest(reference, made, KEY, home)
    assert digest == report.digest
    assert [(item.kind, item.is_new) for item in done] == [
        (SBOM, True),
        (PROVENANCE, True),
        (SBOM, True),
        (PROVENANCE, True),
    ]
    found, listed = in_registry(reference, LocalStore(home.store).resolve("little:1.0.0"))
    assert {item.annotations["dev.sigstore.bundle.predicateType"] for item in listed} == {
        SBOM,
        PROVENANCE,
    }
    for gathered in (found, in_store(home)):
        assert gathered.refused == ()
        predicates = {item.predicate_type: item.predicate for item in gathered.verified}
        assert predicates == {item.kind: item.content for item in made}
        assert {item.subject for item in gathered.verified} == {report.digest}
    # One signature each, in both places, so a push or a pull brings no second one.
    stored = {item.artifact for item in in_store(home).verified}
    assert stored == {item.artifact for item in found.verified}
    recipe = predicates[PROVENANCE]["buildDefinition"]["externalParameters"]["recipe"]
    assert recipe == report.recipe


def test_attesting_again_changes_nothing_and_another_statement_is_added(built):
    """The same bytes by the same key are kept; other bytes are one more statement."""
    _, home, _, _ = built
    one = (Predicate("https://a.invalid/v1", {"n": 1}),)
    assert attest("little:1.0.0", one, KEY, home)[1][0].is_new
    assert not attest("little:1.0.0", one, KEY, home)[1][0].is_new
    other = (Predicate("https://a.invalid/v1", {"n": 2}),)
    assert attest("little:1.0.0", other, KEY, home)[1][0].is_new
    kinds = [item.predicate_type for item in in_store(home).verified]
    assert kinds.count("https://a.invalid/v1") == 2


def test_two_statements_of_one_type_are_both_kept_in_both_places(built):
    """A preflight and a test of claims are two test results; neither takes the other's place."""
    _, home, reference, _ = built
    kind = "https://b.invalid/v1"
    attest(reference, (Predicate(kind, {"n": 1}), Predicate(kind, {"n": 2})), KEY, home)
    found, _ = in_registry(reference, LocalStore(home.store).resolve("little:1.0.0"))
    for gathered in (found, in_store(home)):
        numbers = [item.predicate["n"] for item in gathered.verified if item.predicate_type == kind]
        assert sorted(numbers) == [1, 2]


def test_the_provenance_of_a_kit_at_hand_also_states_its_kit_file(built, tmp_path):
    """The folder must be the one that the image was built from."""
    kit, home, _, _ = built
    options = ClaimOptions(kit, "https://ci.invalid/runner")
    found = predicate_of(Claim.PROVENANCE, "little:1.0.0", options, home).content
    external = found["buildDefinition"]["externalParameters"]
    assert external["kitFile"] == Digest.of((kit / "kit.yaml").read_bytes())
    assert found["runDetails"]["builder"]["id"] == "https://ci.invalid/runner"
    other = little_kit(tmp_path / "other")
    with pytest.raises(MealkitError) as raised:
        predicate_of(Claim.PROVENANCE, "little:1.0.0", ClaimOptions(other), home)
    assert raised.value.problems[0].code == "LOCK_STALE"
    (other / "weights").rename(tmp_path / "weights")
    text = (other / "kit.yaml").read_text()
    (other / "kit.yaml").write_text(text.replace("path: weights", "path: ../weights"))
    for allowed, code in ((), "KIT_PATH_OUTSIDE"), ((tmp_path / "weights",), "LOCK_STALE"):
        options = ClaimOptions(other, allowed=allowed)
        with pytest.raises(MealkitError) as raised:
            predicate_of(Claim.PROVENANCE, "little:1.0.0", options, home)
        assert raised.value.problems[0].code == code


def test_a_preflight_is_a_test_result(built):
    """The rules that this machine passed are listed by their codes, with the lock's digest."""
    _, home, _, _ = built
    found = predicate_of(Claim.TEST_RESULT, "little:1.0.0", ClaimOptions(), home)
    assert found.kind == TEST_RESULT
    assert found.content["result"] in {"PASSED", "WARNED"}
    assert found.content["passedTests"]
    assert found.content["configuration"][0]["name"] == "kit.lock"


def test_a_statement_of_another_program_is_read_from_a_file(tmp_path):
    """It must be one JSON object; what it means is its type's business."""
    file = tmp_path / "vex.json"
    file.write_text(json.dumps({"statements": []}))
    assert predicate_file("https://openvex.dev/ns/v0.2.0", file).content == {"statements": []}
    file.write_text("[]")
    with pytest.raises(MealkitError) as raised:
        predicate_file("https://openvex.dev/ns/v0.2.0", file)
    assert raised.value.problems[0].code == "PREDICATE_INVALID"


def test_an_image_in_a_layout_cannot_be_attested(built, tmp_path):
    """A layout has no list of what refers to its images that others could add to."""
    with pytest.raises(MealkitError) as raised:
        attest(f"oci:{tmp_path}", (), KEY, built[1])
    assert raised.value.problems[0].code == "TARGET_UNFIT"

"""A ModelPack next to an image: written as its readers expect, read back by skopeo, sent once."""

import json
import subprocess

import jsonschema
import pytest
from fakes.little import OFFLINE, Heard, edit_kit, little_kit, little_pair
from fakes.served import Registry, need

from mealkit.assembly.lean import lean_image
from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.oci.model_artifacts import MODELPACK
from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.image_lock import lock_of
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.publish.copying import copy
from mealkit.pipeline.publish.packing import (
    PackPlace,
    packed,
    push_modelpack,
    push_modelpacks,
    weights_repositories,
)
from mealkit.pipeline.publish.pushing import PushRequest, push_target
from mealkit.pipeline.signatures.verifying import Trusted, verify
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.reaching import Registries
from mealkit.stores.registry.referrers import RegistryReferrers
from mealkit.stores.registry.upload import Outcome
from mealkit.trust.keyring import KeyRing, TrustedKey
from mealkit.trust.signing_keys import Algorithm, new_key, read_public_key, read_signing_key
from mealkit.trust.verified import Form

_TEXT = {"type": "string", "minLength": 1}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_MODALITIES = {"type": "array", "items": {"enum": ["text", "image", "embedding", "other"]}}


def _closed(required=(), **fields):
    form = {"type": "object", "properties": fields, "additionalProperties": False}
    return {**form, "required": list(required)}


# ModelPack's docs/config.md: these fields and no others, with diffIds in camel case.
CONFIG = _closed(
    ["descriptor", "config", "modelfs"],
    descriptor=_closed(
        **dict.fromkeys(
            ("family", "name", "version", "title", "description", "vendor", "docURL"), _TEXT
        ),
        licenses=_TEXTS,
    ),
    config=_closed(
        **dict.fromkeys(
            ("architecture", "format", "paramSize", "precision", "quantization"), _TEXT
        ),
        capabilities=_closed(inputTypes=_MODALITIES, outputTypes=_MODALITIES),
    ),
    modelfs=_closed(["type", "diffIds"], type={"const": "layers"}, diffIds=_TEXTS),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The home, the kit and the image of a little kit with a README, and code of its own."""
    folder = tmp_path_factory.mktemp("made")
    kit, home = little_kit(folder / "kit"), home_at(folder / "home")
    (kit / "weights" / "README.md").write_text("# A model\n")
    edit_kit(kit, lambda form: form["model"]["weights"][0]["files"].append("README.md"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        report = build_kit(kit, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    return home, kit, LocalStore(home.store).image(str(report.digest))


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Registry(tmp_path_factory.mktemp("packs") / "registry") as server:
        yield server


def test_every_file_is_a_raw_layer_of_its_kind_under_both_names(made):
    """The model's files at their paths and the recipe's parts below mealkit/, sorted by path."""
    *_, image = made
    manifest = packed(image).manifest
    kinds = {}
    for layer in manifest.layers:
        path = layer.annotations["org.cncf.model.filepath"]
        kinds[path] = layer.media_type.removeprefix("application/vnd.cncf.model.")
        assert layer.annotations["org.opencontainers.image.title"] == path
        assert json.loads(layer.annotations["org.cncf.model.file.metadata+json"]) == {
            "name": path.rpartition("/")[2],
            "mode": 0o644,
            "uid": 0,
            "gid": 0,
            "size": layer.size_bytes,
            "mtime": "1970-01-01T00:00:00Z",
            "typeflag": 0,
        }
    assert kinds == {
        "README.md": "doc.v1.raw",
        "config.json": "weight.config.v1.raw",
        "mealkit/hyperparameters.json": "weight.config.v1.raw",
        "mealkit/prompts/query": "doc.v1.raw",
        "model.safetensors": "weight.v1.raw",
    }
    assert list(kinds) == sorted(kinds)
    assert manifest.artifact_type == MODELPACK
    assert manifest.subject.digest == image.digest


def test_the_config_is_valid_and_says_what_the_lock_knows(made):
    """The licence, the family and the format, no time, and the digests of all layers in order."""
    *_, image = made
    artifact = packed(image)
    form = json.loads(artifact.blobs[-1].data)
    jsonschema.validate(form, CONFIG)
    assert form["descriptor"]["licenses"] == ["MIT"]
    assert form["config"]["format"] == "safetensors"
    assert form["modelfs"]["diffIds"] == [str(layer.digest) for layer in artifact.manifest.layers]


def test_the_bytes_are_those_of_the_kits_own_files(made):
    """Each layer is a range of the image's layer, with the digest that the lock has."""
    _, kit, image = made
    artifact = packed(image)
    for layer, blob in zip(artifact.manifest.layers, artifact.blobs, strict=False):
        data = b"".join(bytes(chunk) for chunk in blob.chunks())
        assert Digest.of(data) == layer.digest
        path = layer.annotations["org.cncf.model.filepath"]
        if not path.startswith("mealkit/"):
            assert data == (kit / "weights" / path).read_bytes()
            assert b"".join(bytes(chunk) for chunk in blob.chunks(2, 3)) == data[2:5]


def test_skopeo_copies_what_was_pushed_and_nothing_is_sent_twice(made, registry, tmp_path):
    """The registry lists it for the image; skopeo keeps its digest; another push sends no byte."""
    home, kit, image = made
    reference = Reference(registry.host, "models/little", "1")
    build_kit(kit, frozen=True, outputs=Outputs(push=[str(reference)]), home=home, progress=Heard())
    lines = push_modelpacks(str(image.digest), [str(reference)], home, Heard())
    with Registries.from_environment() as registries:
        referrers = RegistryReferrers(registries.sources(reference), reference)
        (listed,) = referrers.listed(image.digest, MODELPACK)
        place = PackPlace(reference, registries)
        again = push_modelpack(packed(image), place, LocalStore(home.store), Heard())
    assert f"{reference.name}@{listed.digest}" in lines[0]
    assert (again.digest, again.sent_bytes) == (listed.digest, 0)
    source = f"docker://{reference.name}@{listed.digest}"
    insecure = "--src-tls-verify=false"
    copy = [need("skopeo"), "copy", "--preserve-digests", insecure, source, f"dir:{tmp_path}/pack"]
    subprocess.run(copy, check=True, capture_output=True)
    assert Digest.of((tmp_path / "pack" / "manifest.json").read_bytes()) == listed.digest
    weights = (kit / "weights" / "model.safetensors").read_bytes()
    assert (tmp_path / "pack" / Digest.of(weights).hex).read_bytes() == weights


def test_a_second_repository_gets_the_blobs_by_a_mount(made, registry):
    """Of two places in one registry, only the first is sent the bytes."""
    home, kit, image = made
    places = [f"{registry.host}/mounted/{name}:1" for name in ("first", "second")]
    build_kit(kit, frozen=True, outputs=Outputs(push=places), home=home, progress=Heard())
    _, second = push_modelpacks(str(image.digest), places, home, Heard())
    assert second.endswith("(0 B sent)")


def test_a_push_adds_the_modelpack_to_what_it_reports(made, registry):
    """Also with --lean: then the pack is how the weights are delivered, and about the lean image."""
    home, _, image = made
    target = f"{registry.host}/models/lean:1"
    request = PushRequest("little:1.0.0", target, lean=True, modelpack=True)
    done = push_target(request, home, Heard())
    (companion,) = done.companions
    assert (companion.kind, companion.about) == (MODELPACK, lean_image(image).digest)
    assert companion.digest == packed(image, lean_image(image).descriptor).digest


def test_a_signer_also_signs_the_modelpack(made, registry, tmp_path):
    """In both layouts, from both verbs; who verifies it by its digest needs no image, and a copy keeps it."""
    made_home, _, image = made
    private, public = new_key(Algorithm.ECDSA_P256, None)
    key = read_signing_key(private, "key", lambda: b"")
    trusted = Trusted(KeyRing((TrustedKey(read_public_key(public, "key")),)))
    places = [f"{registry.host}/signed/{name}:1" for name in ("pushed", "built", "copied")]
    request = PushRequest("little:1.0.0", places[0], modelpack=True, signer=key)
    push_target(request, made_home, Heard())
    push_target(PushRequest("little:1.0.0", places[1]), made_home, Heard())
    push_modelpacks(str(image.digest), places[1:2], made_home, Heard(), key)
    copy(places[0], places[2], Heard())
    for place in places:
        name = place.rpartition(":")[0]
        found = verify(f"{name}@{packed(image).digest}", trusted, home_at(tmp_path / "auditor"))
        assert {one.form for one in found.verified} == {Form.BUNDLE, Form.SIMPLE_SIGNING}


def test_blobs_are_mounted_from_where_the_weights_came(made, registry, home, tmp_path, build):
    """A kit of a ModelPack in the same registry sends none of its files again."""
    made_home, _, image = made
    source = f"{registry.host}/models/origin:1"
    push_target(PushRequest("little:1.0.0", source), made_home, Heard())
    (line,) = push_modelpacks(str(image.digest), [source], made_home, Heard())
    digest = line.partition("@")[2].partition(" ")[0]
    kit = little_kit(tmp_path / "kit", name="again")
    entry = {"source": "oci", "reference": f"{source.rpartition(':')[0]}@{digest}"}
    files = ["model.safetensors", "config.json"]
    edit_kit(kit, lambda form: form["model"].update(weights=[{**entry, "files": files}]))
    content = LocalStore(home.store).content(str(build(kit).digest))
    with Registries.from_environment() as registries:
        elsewhere = Reference(registry.host, "elsewhere", "1")
        place = PackPlace(elsewhere, registries, weights_repositories(content))
        report = push_modelpack(packed(content), place, LocalStore(home.store), Heard())
    mounted = {blob.digest for blob in report.blobs if blob.outcome is Outcome.MOUNTED}
    assert {file.sha256 for file in lock_of(content).model.files} <= mounted


def test_an_index_has_one_modelpack(home, tmp_path, build):
    """The architectures share the weights, and the pack refers to the index."""
    report = build(little_pair(tmp_path / "pair"))
    content = LocalStore(home.store).content(str(report.digest))
    assert packed(content).manifest.subject.digest == report.digest


def test_a_lean_image_has_no_weights_to_pack(made):
    """The problem names the first file that is missing, and the image to use instead."""
    *_, image = made
    with pytest.raises(MealkitError) as caught:
        packed(lean_image(image))
    assert "does not contain model.safetensors" in caught.value.problems[0].message

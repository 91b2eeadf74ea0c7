"""Images that leave the machine: a real registry, skopeo, umoci and docker read the same digest."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fakes.little import OFFLINE, Heard, accept_every, edit_kit, little_base, little_kit
from fakes.served import Demo, assert_serves, ended_of, need, published, wait_ready

from mealkit.assembly.lean import weight_layers
from mealkit.errors import MealkitError
from mealkit.oci.reference import Reference
from mealkit.oci.validate import validate
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.image.building import BuildReport, build_kit
from mealkit.pipeline.image.inspecting import inspect
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.image.pulling import pull
from mealkit.pipeline.machine.clients import stop_kit
from mealkit.pipeline.opening_images import open_image
from mealkit.pipeline.publish.cataloguing import Addition, add
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.local import LocalStore
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries


def build(kit: Path, home: Home, outputs: Outputs) -> BuildReport:
    return build_kit(kit, frozen=False, outputs=outputs, home=home, progress=Heard())


def skopeo(*arguments: str) -> Any:
    done = subprocess.run(
        [need("skopeo"), *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


@pytest.fixture
def little(tmp_path, monkeypatch) -> tuple[Path, Home]:
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    return little_kit(tmp_path / "kit"), home_at(tmp_path / "home")


@pytest.mark.docker
@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_a_pushed_kit_is_pulled_and_served_by_docker_alone(demo: Demo, registry, sdk, started):
    """One digest everywhere; a second push sends no layer."""
    name = f"{registry.host}/kits/alone"
    outputs = Outputs(push=[f"{name}:1.0.0"])
    report = build(demo.kit, demo.home, outputs)
    assert report.digest == demo.report.digest
    assert skopeo("inspect", "--tls-verify=false", f"docker://{name}:1.0.0")["Digest"] == str(
        report.digest
    )
    before = len(registry.requests("PATCH")) + len(registry.requests("POST"))
    again = build(demo.kit, demo.home, outputs)
    assert len(registry.requests("PATCH")) + len(registry.requests("POST")) == before
    assert "(0 B sent)" in again.delivered[0]

    image = sdk.images.pull(name, tag="1.0.0")
    try:
        assert f"{name}@{report.digest}" in image.attrs["RepoDigests"]
        container = started(f"{name}:1.0.0", ports={"8000/tcp": ("127.0.0.1", 0)})
        url = published(container)
        wait_ready(url, ended_of(container))
        assert_serves(url)
        container.remove(force=True)
    finally:
        sdk.images.remove(f"{name}:1.0.0", force=True)


@pytest.mark.online
@pytest.mark.xdist_group("demo")
@pytest.mark.parametrize("client", [pytest.param("docker", marks=pytest.mark.docker), "sandbox"])
def test_a_reference_runs_from_an_empty_home(demo: Demo, registry, tmp_path, unique, client):
    """Pulled weights become verified files again, stand once, and are mounted."""
    reference = f"{registry.host}/kits/sbert-minilm:1.0.0"
    with Registries.from_environment() as registries:
        push(demo.image, Reference.parse(reference), registries)
    home, name = home_at(tmp_path / "home"), unique("pulled")
    report = run_kit(RunRequest(reference, client=client, name=name, port=0), home, Heard())
    try:
        assert_serves(report.url)
    finally:
        stop_kit(name, timeout_seconds=None, home=home)
    image = LocalStore(home.store).image(reference)
    assert image.digest == demo.report.digest
    weights = weight_layers(image)
    assert weights
    for weight in weights:
        assert isinstance(weight.layer.blob, VirtualBlob)
        assert weight.layer.blob.source == home.files / "sha256" / weight.digest.hex
    sizes = [path.stat().st_size for path in (home.store / "blobs" / "sha256").iterdir()]
    assert sum(sizes) < demo.image.config_descriptor.size_bytes + sum(
        layer.blob.size_bytes for layer in image.layers
    ) - sum(weight.size_bytes for weight in weights)
    assert validate(image) == []


@pytest.mark.online
@pytest.mark.xdist_group("demo")
def test_a_kit_of_a_catalogue_runs_by_one_word(demo: Demo, registry, tmp_path, unique, monkeypatch):
    """From an empty home; after that, the local store has the name, and no catalogue is read."""
    reference, catalog = f"{registry.host}/kits/sbert-minilm:1.0.0", f"{registry.host}/catalog"
    monkeypatch.setenv("MEALKIT_CATALOGS", catalog)
    with Registries.from_environment() as registries:
        push(demo.image, Reference.parse(reference), registries)
    home, name, heard = home_at(tmp_path / "home"), unique("named"), Heard()
    add(Addition(reference), home)
    report = run_kit(RunRequest("sbert-minilm", client="sandbox", name=name, port=0), home, heard)
    try:
        assert_serves(report.url)
    finally:
        stop_kit(name, timeout_seconds=None, home=home)
    assert any(f"from the catalogue {catalog}" in phase for phase in heard.phases)
    monkeypatch.delenv("MEALKIT_CATALOGS")
    assert inspect("sbert-minilm", verify=False, home=home, progress=heard).digest == str(
        demo.report.digest
    )


def test_an_image_with_a_time_is_pulled_as_it_is(little, registry, tmp_path, monkeypatch):
    """SOURCE_DATE_EPOCH is in every header of the layers; a pull makes the same ones again."""
    kit, home = little
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    reference = f"{registry.host}/kits/timed:1"
    report = build(kit, home, Outputs(push=[reference]))
    other = home_at(tmp_path / "other")
    image = pull(Reference.parse(reference), "amd64", other, Heard(), accept=accept_every)
    assert image.digest == report.digest
    assert validate(image) == []


def test_a_pull_of_flipped_bytes_leaves_nothing(little, registry, tmp_path):
    """A registry whose disk lies: the pull is refused, and a later one works."""
    kit, home = little
    reference = f"{registry.host}/kits/flipped:1"
    # Other weights than the other tests': the registry keeps a blob once.
    weights = kit / "weights" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"flip")
    report = build(kit, home, Outputs(push=[reference]))
    (weight,) = weight_layers(LocalStore(home.store).image(str(report.digest)))
    digest = weight.layer.blob.digest.hex
    blob = registry.folder / f"data/docker/registry/v2/blobs/sha256/{digest[:2]}/{digest}/data"
    data = blob.read_bytes()
    blob.write_bytes(data[:9000] + bytes([data[9000] ^ 1]) + data[9001:])
    other = home_at(tmp_path / "other")
    with pytest.raises(MealkitError) as raised:
        pull(Reference.parse(reference), "amd64", other, Heard(), accept=accept_every)
    assert raised.value.problems[0].code in {"IMAGE_INVALID", "REGISTRY_DIGEST", "BLOB_DAMAGED"}
    assert [path for path in other.files.rglob("*") if path.is_file()] == []

    blob.write_bytes(data)
    assert (
        pull(Reference.parse(reference), "amd64", other, Heard(), accept=accept_every).digest
        == report.digest
    )


def test_preflight_facts_can_be_read_from_the_manifest_alone(little, registry):
    """What a kit needs and who owns it stand in the manifest, before a layer is pulled."""
    kit, home = little
    reference = f"{registry.host}/kits/facts:1"
    build(kit, home, Outputs(push=[reference]))
    raw = json.dumps(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{reference}"))
    assert "dev.mealkit.requirements" in raw
    assert "cooks@kitchen.invalid" in raw
    found = inspect(reference, verify=False, home=home_at(home.root / "none"), progress=Heard())
    assert found.lock is not None
    assert found.lock.about.name == "little"


def test_layout_and_archive_are_read_by_skopeo_and_umoci(little, tmp_path):
    """Other people's tools agree on the digest, and unpack the weights as they were."""
    kit, home = little
    layout, archive = tmp_path / "layout", tmp_path / "kit.tar"
    report = build(kit, home, Outputs(output=[f"oci:{layout}"]))
    build(kit, home, Outputs(output=[f"oci-archive:{archive}"]))
    for source in (f"oci:{layout}", f"oci-archive:{archive}"):
        raw = skopeo("inspect", "--raw", source)
        assert len(raw["layers"]) == len(report.images[0].layers)
    copied = tmp_path / "copied"
    # Left to itself, skopeo compresses the layers of a layout.
    keep = ("--quiet", "--insecure-policy", "--preserve-digests")
    skopeo("copy", *keep, f"oci-archive:{archive}", f"oci:{copied}:again")
    digests = {
        json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
        for folder in (layout, copied)
    }
    assert digests == {str(report.digest)}

    root = tmp_path / "root"
    command = ["unpack", "--rootless", "--image", f"{copied}:again", str(root)]
    subprocess.run([need("umoci"), *command], check=True, capture_output=True)
    unpacked = root / "rootfs" / "models" / "model.safetensors"
    assert unpacked.read_bytes() == (kit / "weights" / "model.safetensors").read_bytes()
    assert (root / "rootfs" / "etc" / "mealkit" / "kit.lock").read_bytes() == (
        kit / "kit.lock"
    ).read_bytes()


@pytest.mark.parametrize("kind", ["oci:", "oci-archive:", ""])
def test_a_base_from_anywhere_gives_the_same_layers(little, registry, tmp_path, kind):
    """Layout, archive and registry: the base's blobs are reused byte for byte, gzip or not."""
    kit, home = little
    source = f"oci:{kit}/base:base:1"
    if kind == "oci:":
        reference = "oci:base"
    elif kind == "oci-archive:":
        skopeo("copy", "--quiet", "--insecure-policy", source, f"oci-archive:{kit}/base.tar:base:1")
        reference = "oci-archive:base.tar"
    else:
        reference = f"{registry.host}/bases/base:1"
        skopeo(
            *("copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"),
            source,
            f"docker://{reference}",
        )
    edit_kit(kit, lambda form: form["runtime"]["base"].update(reference=reference))
    report = build(kit, home, Outputs())
    base = little_base().layers[0].blob
    with open_image("little:1.0.0", home) as image:
        assert report.images[0].layers[0].digest == image.layers[0].blob.digest
        unpacked = b"".join(bytes(chunk) for chunk in image.layers[0].blob.chunks())
        if report.images[0].layers[0].digest == base.digest:
            assert unpacked == b"".join(base.chunks())
        assert image.config["rootfs"]["diff_ids"][0] == str(little_base().layers[0].diff_id)
        assert validate(image) == []
    lock = (kit / "kit.lock").read_text()
    assert registry.host not in lock
    assert str(tmp_path) not in lock
    # The base is in the store now: the next build needs neither layout nor registry for layers.
    assert build(kit, home, Outputs()).digest == report.digest


@pytest.mark.docker
def test_loading_puts_it_under_the_name_of_the_kit(little, unique, sdk):
    """``build --load`` names the image as the kit; a second time the engine has every layer."""
    kit, home = little
    name = unique("load")
    edit_kit(kit, lambda form: form.update(name=name))
    try:
        report = build(kit, home, Outputs(load=True))
        labels = sdk.images.get(f"{name}:1.0.0").labels
        assert labels["dev.mealkit.recipe"] == str(report.recipe)
        assert labels["dev.mealkit.salt"] == str(report.salt)
        again = build(kit, home, Outputs(load=True))
        assert f"({len(report.images[0].layers)} layers already present)" in again.delivered[0]
    finally:
        sdk.images.remove(f"{name}:1.0.0", force=True)

"""A kit for amd64 and arm64: pushed as one, and each machine gets its own."""

import subprocess

import pytest
from fakes.little import OFFLINE, Heard, accept_every, edit_kit, little_pair
from fakes.served import need

from mealkit.oci.reference import Reference
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.pipeline.image.pulling import pull
from mealkit.pipeline.machine.stated_needs import stated_by
from mealkit.pipeline.targets import RegistryReference
from mealkit.preflight.cpu import architecture
from mealkit.stores.local import LocalStore


def build(kit, home, outputs=None, *, frozen=False):
    return build_kit(kit, frozen=frozen, outputs=outputs or Outputs(), home=home, progress=Heard())


@pytest.fixture
def pair(tmp_path, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    return little_pair(tmp_path / "pair")


def test_a_registry_has_both_under_one_name(pair, tmp_path, registry):
    """Other tools see the index; a pull and a preflight take the machine's own image."""
    name = f"{registry.host}/kits/pair:1"
    report = build(pair, home_at(tmp_path / "home"), Outputs(push=[name]))
    raw = subprocess.run(
        [need("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{name}"],
        check=True,
        capture_output=True,
    ).stdout
    assert raw == LocalStore(tmp_path / "home" / "store").content(str(report.digest)).raw_manifest
    reference = Reference.parse(name)
    for built in report.images:
        home = home_at(tmp_path / built.architecture)
        target = RegistryReference(name, reference)
        stated = stated_by(target, built.architecture, home)
        assert [item.value for item in stated.requirements.architectures] == [built.architecture]
        assert (
            pull(reference, built.architecture, home, Heard(), accept=accept_every).digest
            == built.digest
        )
    again = build(pair, home_at(tmp_path / "home"), Outputs(push=[name]))
    assert "(0 B sent)" in again.delivered[0]


@pytest.mark.docker
def test_docker_gets_the_image_for_this_machine(pair, tmp_path, unique, sdk):
    """``build --load`` loads one image, of the machine's own architecture."""
    name = unique("pair")
    edit_kit(pair, lambda form: form.update(name=name))
    try:
        build(pair, home_at(tmp_path / "home"), Outputs(load=True))
        assert sdk.images.get(f"{name}:1.0.0").attrs["Architecture"] == architecture()
    finally:
        sdk.images.remove(f"{name}:1.0.0", force=True)

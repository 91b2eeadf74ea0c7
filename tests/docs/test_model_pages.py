"""The pages about models in registries, carried out: each command and each file in them works."""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from fakes.how_to import file_in
from fakes.little import edit_kit, little_kit, offline_environment
from fakes.served import ROOT, Registry, need
from typer.testing import CliRunner

from mealkit.cli.program import app
from mealkit.digest import Digest
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
from mealkit.stores.registry.push import push
from mealkit.stores.registry.reaching import Registries
from mealkit.trust.model_signing import sign_model
from mealkit.trust.signing_keys import Algorithm, new_key, read_signing_key

PUBLISH, TAKE, SERVE = (
    f"how-to/{name}.md"
    for name in (
        "publish-a-modelpack",
        "take-weights-from-a-registry",
        "serve-weights-in-kubernetes",
    )
)


class Reader:
    """A person who follows a page, with a registry of their own and a kit in my-kit."""

    def __init__(self, folder: Path, registry: Registry) -> None:
        self.folder, self.host = folder, registry.host
        self.kit = little_kit(folder / "my-kit", name="my-kit")
        self._environment = offline_environment(folder / "home")

    def as_here(self, text: str) -> str:
        """A text of a page, with this reader's registry."""
        return re.sub(r"(registry|mirror)\.example\.org", self.host, text)

    def commands(self, page: str, program: str = "mealkit") -> list[str]:
        text = (ROOT / "docs" / page).read_text()
        found = re.findall(rf"^\$ {program} (.*)$", text, re.MULTILINE)
        return [self.as_here(line) for line in found]

    def run(self, line: str) -> str:
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, line.split(), env=self._environment)
        assert done.exit_code == 0, done.output
        return done.output


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader")
    with Registry(folder / "registry") as registry:
        yield Reader(folder, registry)


def test_a_modelpack_is_published_as_the_page_says(reader):
    """Built and pushed, pushed again without a byte, copied by skopeo by the digest, and lean."""
    built, again, lean = (reader.run(line) for line in reader.commands(PUBLISH))
    (digest,) = re.findall(r"ModelPack pushed to \S+@(sha256:\w{64}) ", built)
    assert "0 B sent" in again
    assert lean
    (copy,) = reader.commands(PUBLISH, "skopeo")
    command = [need("skopeo"), *re.sub(r"sha256:9ab3\.\.\.", digest, copy).split()]
    command.insert(2, "--src-tls-verify=false")
    subprocess.run(command, cwd=reader.folder, check=True, capture_output=True)
    manifest = json.loads((reader.folder / "model" / "manifest.json").read_text())
    assert Digest.of((reader.folder / "model" / "manifest.json").read_bytes()) == digest
    text = (ROOT / "docs" / PUBLISH).read_text()
    for layer in manifest["layers"]:
        assert f"`{layer['mediaType']}`" in text


def test_weights_are_taken_as_the_page_says(reader):
    """The page's entry, with the signature that it demands and the mirror."""
    private, public = new_key(Algorithm.ECDSA_P256, None)
    weights = {path.name: path.read_bytes() for path in (reader.kit / "weights").iterdir()}
    digests = {name: Digest.of(data) for name, data in weights.items()}
    key = read_signing_key(private, "key", lambda: b"")
    files = {**weights, "model.sig": sign_model("m", digests, key)}
    layers = [
        Attachment(raw_layer(Purpose.WEIGHT), BytesBlob(data), file_annotations(name, len(data)))
        for name, data in files.items()
    ]
    config = Attachment(MODELPACK_CONFIG, BytesBlob(b"{}"), {})
    with Registries.from_environment() as registries:
        reference = Reference(reader.host, "models/my-model", "1.0")
        push(artifact_of(MODELPACK, layers, config=config), reference, registries)
    (reader.kit / "publisher.pub").write_bytes(public)
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "docs" / TAKE).read_text(), re.MULTILINE | re.DOTALL
    )
    first, mirrors, signed = (yaml.safe_load(reader.as_here(block)) for block in blocks)
    edit_kit(reader.kit, lambda form: form["model"].update(weights=signed))
    assert first["model"]["weights"][0].items() <= signed[0].items()
    (line,) = reader.commands(TAKE)
    said = reader.run(line)
    assert f"{reference}@sha256:" in said
    edit_kit(reader.kit, lambda form: form["model"]["weights"][0].update(mirrors))
    reader.run(f"{line} --upgrade weights")
    lock = json.loads((reader.kit / "kit.lock").read_text())
    assert lock["model"]["signatures"][0]["files"] == ["config.json", "model.safetensors"]


def test_the_manifests_have_the_fields_that_the_page_names():
    """The volume is an image by its digest, and its folder of weights is mounted for reading."""
    pod = yaml.safe_load(file_in(SERVE, "apiVersion: v1"))
    (container,), (volume,) = pod["spec"]["containers"], pod["spec"]["volumes"]
    (mount,) = container["volumeMounts"]
    assert set(volume["image"]) == {"reference", "pullPolicy"}
    assert mount == {
        "name": volume["name"],
        "mountPath": "/mnt/models",
        "subPath": "models",
        "readOnly": True,
    }
    service = yaml.safe_load(file_in(SERVE, "apiVersion: serving.kserve.io/v1beta1"))
    uri = service["spec"]["predictor"]["model"]["storageUri"]
    for text in (volume["image"]["reference"], uri.removeprefix("oci://")):
        assert Reference.parse(text).digest is not None


def test_an_image_unpacks_to_weights_that_any_user_may_read(reader):
    """As a volume of the image, or KServe's copy, has them: plain files below /models, no links."""
    reader.run("build my-kit --replace --output oci:layout")
    index = json.loads((reader.folder / "layout" / "index.json").read_text())
    name = index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
    command = [need("umoci"), "unpack", "--rootless", "--image", f"layout:{name}", "unpacked"]
    subprocess.run(command, cwd=reader.folder, check=True, capture_output=True)
    models = reader.folder / "unpacked" / "rootfs" / "models"
    found = {}
    for folder, _, files in os.walk(models):
        assert Path(folder).stat().st_mode & 0o777 == 0o755
        found |= {file: Path(folder, file) for file in files}
    assert set(found) == {"config.json", "model.safetensors"}
    for path in found.values():
        assert not path.is_symlink()
        assert path.stat().st_mode & 0o777 == 0o644
        assert path.read_bytes() == (reader.kit / "weights" / path.name).read_bytes()

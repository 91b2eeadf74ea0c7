"""What is to be deployed: the image by the digest that a real registry states, and the kit's lock."""

import io
import json
import tarfile
import urllib.request

import pytest
from fakes.little import OFFLINE, Heard, edit_kit, little_kit
from fakes.rendered_kits import helm_text, read_yaml
from fakes.served import Registry

from mealkit.deploy.kubernetes import kubernetes_objects
from mealkit.errors import MealkitError
from mealkit.pipeline.cluster.chart_pushing import push_chart
from mealkit.pipeline.cluster.deployment_target import DeployRequest, workload_of
from mealkit.pipeline.home import home_at
from mealkit.pipeline.image.building import build_kit
from mealkit.pipeline.image.outputs import Outputs
from mealkit.progress import SILENT

pytestmark = pytest.mark.xdist_group("deployment-target")
DIGEST = f"sha256:{'1' * 64}"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A registry with a little kit; its folder, its reference, its digest, and the home."""
    folder = tmp_path_factory.mktemp("pushed")
    home = home_at(folder / "home")
    with pytest.MonkeyPatch.context() as patch, Registry(folder / "registry") as registry:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit")
        place = f"{registry.host}/kits/little:1.0.0"
        report = build_kit(
            kit, frozen=False, outputs=Outputs(push=(place,)), home=home, progress=Heard()
        )
        yield kit, place, str(report.digest), home


def problem_of(request, home):
    with pytest.raises(MealkitError) as caught:
        workload_of(request, home, SILENT)
    return caught.value.problems[0]


def test_a_tag_becomes_the_digest_that_it_has_now(pushed):
    """For a kit, its lock, and the image itself; the file beside the kit counts."""
    kit, place, digest, home = pushed
    (kit / "deploy.yaml").write_text("replicas: 2\n")
    try:
        for target, image in ((kit, place), (kit / "kit.lock", place), (place, None)):
            found = workload_of(DeployRequest(str(target), image=image), home, SILENT)
            assert str(found.image) == f"{place.removesuffix(':1.0.0')}@{digest}"
            assert found.file.replicas == (1 if target == place else 2)
            assert found.lock.about.name == "little"
    finally:
        (kit / "deploy.yaml").unlink()


def test_options_replace_what_the_file_states(pushed, tmp_path):
    """Image, name and namespace; they are checked as the file is."""
    kit, place, digest, home = pushed
    file = tmp_path / "deploy.yaml"
    file.write_text(f"image: {place}\nname: one\nweights: {{in: image-volume, image: {place}}}\n")
    found = workload_of(
        DeployRequest(str(kit), file, f"{place}@{DIGEST}", "two", "kits"), home, SILENT
    )
    assert (found.image.digest, found.weights_image.digest) == (DIGEST, digest)
    assert (found.name, found.file.namespace) == ("two", "kits")
    wrong = problem_of(DeployRequest(str(kit), file, name="Two"), home)
    assert (wrong.code, wrong.where) == ("DEPLOY_FILE_INVALID", "options")


def test_an_image_without_a_digest_is_refused(pushed):
    """None is named; it is in no registry; its tag does not exist."""
    kit, place, _, home = pushed
    host = place.partition("/")[0]
    for image, part in (
        (None, "no image is named"),
        ("little:1.0.0", "names no registry"),
        (f"{host}/kits/little:9", "the digest of"),
    ):
        found = problem_of(DeployRequest(str(kit), image=image), home)
        assert found.code == "DEPLOY_IMAGE"
        assert part in found.message


def test_an_image_of_another_recipe_is_refused(pushed, tmp_path, monkeypatch):
    """What the lock states would not be what runs."""
    _, place, digest, home = pushed
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    other = little_kit(tmp_path / "other")
    edit_kit(other, lambda form: form.update(version="1.0.1"))
    edit_kit(other, lambda form: form["hyperparameters"].update(max_length=9))
    build_kit(other, frozen=False, outputs=Outputs(), home=home, progress=Heard())
    found = problem_of(DeployRequest(str(other), image=place), home)
    assert found.code == "DEPLOY_IMAGE"
    assert f"@{digest} has the recipe" in found.message


def test_a_chart_is_pushed_as_helm_reads_it(pushed, tmp_path):
    """To the real docker-registry: media types, the tag, and a package that renders."""
    kit, place, _, home = pushed
    file = tmp_path / "deploy.yaml"
    file.write_text("replicas: 1\n")
    found = workload_of(DeployRequest(str(kit), file, place), home, SILENT)
    host = place.partition("/")[0]
    done = push_chart(found, f"{host}/charts/little", SILENT)
    assert str(done.reference) == f"{host}/charts/little:1.0.0"

    def read(path, accept="*/*"):
        url = f"http://{host}/v2/charts/little/{path}"
        request = urllib.request.Request(url, headers={"Accept": accept})
        with urllib.request.urlopen(request) as answer:
            return answer.read()

    manifest = json.loads(read("manifests/1.0.0", "application/vnd.oci.image.manifest.v1+json"))
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.helm.config.v1+json"
    (layer,) = manifest["layers"]
    assert layer["mediaType"] == "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
    config = json.loads(read(f"blobs/{manifest['config']['digest']}"))
    assert (config["name"], config["version"]) == ("little", "1.0.0")
    package = read(f"blobs/{layer['digest']}")
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        text = archive.extractfile("little/templates/kit.yaml").read().decode()
        (values,) = read_yaml(archive.extractfile("little/values.yaml").read().decode())
    assert read_yaml(helm_text(text, values, "little")) == kubernetes_objects(found)
    with pytest.raises(MealkitError, match="another one"):
        push_chart(found, f"{host}/charts/little:2", SILENT)

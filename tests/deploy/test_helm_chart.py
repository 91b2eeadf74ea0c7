"""A chart renders to the objects for Kubernetes, and its values are checked by its schema."""

import io
import json
import re
import tarfile

import jsonschema_rs
import pytest
import yaml
from fakes.rendered_kits import EVERYTHING, LOCKED, helm_text, lock_of, read_yaml, workload

from mealkit.deploy.helm_chart import chart_artifact, chart_version, helm_files
from mealkit.deploy.kubernetes import kubernetes_objects
from mealkit.errors import MealkitError

CHART = EVERYTHING.replace("gate: candidate, ", "")


def installed(found, release, **changes):
    """The objects that Helm makes of a chart with its values and these changes."""
    files = helm_files(found)
    values = {**yaml.safe_load(files["values.yaml"]), **changes}
    jsonschema_rs.validator_for(json.loads(files["values.schema.json"])).validate(values)
    return read_yaml(helm_text(files["templates/kit.yaml"], values, release))


def without_namespace(found):
    return json.loads(json.dumps(found).replace('"namespace": "kits", ', ""))


@pytest.mark.parametrize(
    ("text", "kit"), [(CHART, "tiny-chat-onnx"), *(("", kit) for kit in LOCKED)]
)
def test_with_its_own_values_it_is_what_kubernetes_gets(text, kit):
    """With the deployment's name as the release's; the namespace is Helm's."""
    found = workload(text, kit)
    expected = without_namespace(kubernetes_objects(found))
    written = installed(found, found.name)
    # A Job's name has a digest of its content, which has marks here.
    for item in (*expected, *written):
        if item["kind"] == "Job":
            item["metadata"]["name"] = "job"
        # A chart always states the number, because it is one of its values.
        if item["kind"] == "Deployment":
            item["spec"] = {"replicas": 1, **item["spec"]}
    assert written == expected


def test_values_go_where_they_belong():
    """Replicas as a number, the rest as text, also a release that looks like a number."""
    found = installed(
        workload(CHART),
        "123",
        replicas=7,
        memory="3Gi",
        cpu="2",
        keysSecret="9",
        repository="mirror.example:5000/kit",
        host="other.example",
    )
    (deployment,) = [item for item in found if item["kind"] == "Deployment"]
    (kit,) = deployment["spec"]["template"]["spec"]["containers"]
    assert (deployment["metadata"]["name"], deployment["spec"]["replicas"]) == ("123", 7)
    assert kit["resources"]["requests"] == {"cpu": "2", "memory": "3Gi"}
    assert kit["image"] == f"mirror.example:5000/kit@sha256:{'1' * 64}"
    keys = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    assert keys["keys"]["secret"]["secretName"] == "9"
    (ingress,) = [item for item in found if item["kind"] == "Ingress"]
    assert ingress["spec"]["rules"][0]["host"] == "other.example"


@pytest.mark.parametrize(
    "wrong", [{"replicas": "2"}, {"memory": "2"}, {"host": "a b"}, {"replica": 1}, {"cpu": '1"'}]
)
def test_wrong_values_are_refused_by_the_schema(wrong):
    """Helm compares values with values.schema.json before it renders anything."""
    with pytest.raises(jsonschema_rs.ValidationError):
        installed(workload(CHART), "kit", **wrong)


@pytest.mark.parametrize("text", ["{{ .Values.memory }}", "{{", "}}", "{{{{ `x` }}", "a\"{{'b"])
def test_text_of_others_is_never_a_template(text):
    """It comes out as it is in the kit."""
    lock = lock_of("rake")
    owner = lock.about.owner.model_copy(update={"team": text})
    found = workload(
        lock=lock.model_copy(update={"about": lock.about.model_copy(update={"owner": owner})})
    )
    for item in installed(found, "kit"):
        assert item["metadata"]["annotations"]["mealkit.dev/owner"].startswith(f"{text}, ")


SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.2.3", "1.2.3"),
        ("v1", "1.0.0"),
        ("1.2", "1.2.0"),
        ("1.0.0-rc.1", "1.0.0-rc-1"),
        ("2026.01.31", "2026.0.0-01-31"),
        ("nightly", "0.0.0-nightly"),
        ("1.2.3.4", "1.2.3-r4"),
    ],
)
def test_a_kits_version_becomes_one_of_helm(version, expected):
    """Three numbers without leading zeros, and the rest after a dash."""
    assert chart_version(version) == expected
    assert SEMVER.fullmatch(expected)


def test_the_package_is_the_same_each_time():
    """A gzip of a tar with the chart in a folder of its name."""
    first, second = chart_artifact(workload(CHART)), chart_artifact(workload(CHART))
    assert first.digest == second.digest
    data = b"".join(bytes(chunk) for chunk in first.blobs[0].chunks())
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        assert {*archive.getnames()} >= {
            "shop-kit/Chart.yaml",
            "shop-kit/values.yaml",
            "shop-kit/values.schema.json",
            "shop-kit/templates/kit.yaml",
        }
        chart = yaml.safe_load(archive.extractfile("shop-kit/Chart.yaml"))
    assert (chart["apiVersion"], chart["name"], chart["version"]) == ("v2", "shop-kit", "1.0.0")


def test_a_gate_is_not_for_charts():
    """Helm would install a revision that nothing has tested."""
    with pytest.raises(MealkitError) as caught:
        helm_files(workload(EVERYTHING))
    assert caught.value.problems[0].code == "DEPLOY_UNFIT"

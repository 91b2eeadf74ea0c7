"""What is rendered for KServe: its Pod is valid for Kubernetes, and the weights are the image's."""

import kubernetes_validate
import pytest
from fakes.rendered_kits import FULL_IMAGE, read_yaml, workload

from mealkit.deploy.kserve import kserve_files
from mealkit.errors import MealkitError

TEXT = 'namespace: kits\nreplicas: 2\nauth: "off"\nmonitoring: {service_monitor: true}'


def rendered(text=TEXT):
    found = read_yaml(kserve_files(workload(text))["inferenceservice.yaml"])
    return {item["kind"]: item for item in found}


def test_the_pod_is_valid_and_gets_its_weights_from_kserve():
    """Runtime and InferenceService together are the Pod that KServe makes."""
    found = rendered()
    runtime, predictor = (
        found["ServingRuntime"]["spec"],
        found["InferenceService"]["spec"]["predictor"],
    )
    own = {"minReplicas", "maxReplicas", "timeout", "deploymentStrategy", "model"}
    spec = {name: value for name, value in predictor.items() if name not in own}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {**spec, "containers": runtime["containers"], "volumes": runtime["volumes"]},
    }
    kubernetes_validate.validate(pod, "1.36.0", strict=True)
    (kit,) = runtime["containers"]
    environment = {one["name"]: one.get("value") for one in kit["env"]}
    assert kit["name"] == "kserve-container"
    assert environment["MEALKIT_MODELS"] == "/mnt/models"
    assert "tiny-chat-onnx-predictor.$(POD_NAMESPACE).svc" in environment["MEALKIT_HOSTS"].split(
        ","
    )
    assert "weights" not in {one["name"] for one in runtime["volumes"]}
    model = predictor["model"]
    assert model["storageUri"] == f"oci+native://{FULL_IMAGE}"
    assert model["runtime"] == found["ServingRuntime"]["metadata"]["name"]
    formats = [one["name"] for one in runtime["supportedModelFormats"]]
    assert formats == [model["modelFormat"]["name"]]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 2)


def test_its_network_is_closed_too():
    """By the label that KServe gives its Pods."""
    policy = rendered()["NetworkPolicy"]
    kubernetes_validate.validate(policy, "1.36.0", strict=True)
    labels = policy["spec"]["podSelector"]["matchLabels"]
    assert labels == {"serving.kserve.io/inferenceservice": "tiny-chat-onnx"}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("rollout: {gate: candidate}", "rollout.gate"),
        ("ingress: {host: a.example}", "ingress"),
        ("weights: {in: pvc}", "weights.in"),
        ("environment: {A: '{{ .Name }}'}", "environment.A"),
    ],
)
def test_what_kserve_does_itself_is_refused(text, place):
    """The problem names the field."""
    with pytest.raises(MealkitError) as caught:
        kserve_files(workload(text))
    assert (caught.value.problems[0].code, caught.value.problems[0].where) == (
        "DEPLOY_UNFIT",
        place,
    )

"""Renders a kit for KServe: a ServingRuntime with the kit's server, and an InferenceService.

The weights are the image's, which KServe mounts as a volume (``oci+native://``); so the server may
be the lean image. The mode is Standard: KServe makes a Deployment, and no Knative is needed.
"""

from collections.abc import Mapping
from typing import Any

from mealkit.deploy.deployment_file import WeightsIn
from mealkit.deploy.kubernetes import example_secrets
from mealkit.deploy.kubernetes_jobs import state_volume
from mealkit.deploy.kubernetes_metadata import metadata_of, names_in_cluster
from mealkit.deploy.kubernetes_network import pod_policies
from mealkit.deploy.kubernetes_pod import pod_of, rolling
from mealkit.deploy.workload import HOSTS_VARIABLE, Workload
from mealkit.deploy.yaml_text import yaml_documents
from mealkit.errors import MealkitError, failure

Form = dict[str, Any]

_MODELS = "/mnt/models"
_FORMAT = "mealkit"
_SERVICE = "serving.kserve.io/inferenceservice"
"""The label of KServe's Pods: their InferenceService."""
# What the runtime has; the rest of the Pod's fields are the InferenceService's.
_OF_RUNTIME = ("containers", "volumes")


def kserve_files(workload: Workload) -> Mapping[str, str]:
    """Return the files, by their paths.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, KServe does itself what deploy.yaml asks for.
    """
    _require_fit(workload)
    files = {"inferenceservice.yaml": yaml_documents(kserve_objects(workload))}
    if examples := example_secrets(workload):
        files["secrets.yaml.example"] = examples
    return files


def kserve_objects(workload: Workload) -> list[Form]:
    """Return the objects, in the order of applying."""
    selector = {_SERVICE: workload.name}
    pod: Form = pod_of(workload, selector)["spec"]
    pod.pop("initContainers", None)
    (kit,) = pod["containers"]
    kit = {
        **kit,
        "name": "kserve-container",
        "env": _environment(workload, kit["env"]),
        "volumeMounts": [item for item in kit["volumeMounts"] if item["name"] != "weights"],
    }
    volumes = [item for item in pod["volumes"] if item["name"] != "weights"]
    rest = {name: value for name, value in pod.items() if name not in _OF_RUNTIME}
    state = [state_volume(workload)] if workload.file.state.place == "pvc" else []
    policies = list(pod_policies(workload, selector))
    return [*policies, *state, _runtime(workload, kit, volumes), _service(workload, rest)]


def _runtime(workload: Workload, kit: Form, volumes: list[Form]) -> Form:
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": metadata_of(workload, workload.name),
        "spec": {
            "annotations": {
                "prometheus.kserve.io/port": str(workload.port),
                "prometheus.kserve.io/path": "/metrics",
            },
            # Chosen by its name only: it serves no model but the kit's.
            "supportedModelFormats": [{"name": _FORMAT, "version": "1", "autoSelect": False}],
            "protocolVersions": ["v2", "v1"],
            "containers": [kit],
            "volumes": volumes,
        },
    }


def _service(workload: Workload, pod: Form) -> Form:
    metadata = metadata_of(workload, workload.name, workload.file.monitoring.labels)
    metadata["annotations"] = {
        **metadata["annotations"],
        "serving.kserve.io/deploymentMode": "Standard",
    }
    if workload.file.monitoring.service_monitor:
        metadata["annotations"]["serving.kserve.io/enable-prometheus-scraping"] = "true"
    replicas = workload.file.replicas
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": metadata,
        "spec": {
            "predictor": {
                "minReplicas": replicas,
                "maxReplicas": replicas,
                "timeout": workload.lock.serving.timeout_seconds,
                "deploymentStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling(workload)},
                **pod,
                "model": {
                    "modelFormat": {"name": _FORMAT, "version": "1"},
                    "runtime": workload.name,
                    "storageUri": f"oci+native://{workload.weights_image}",
                },
            }
        },
    }


def _environment(workload: Workload, stated: list[Form]) -> list[Form]:
    """Return the container's variables, with KServe's folder of weights and names of Services."""
    services = (workload.name, f"{workload.name}-predictor")
    names = [name for service in services for name in names_in_cluster(service)]
    changed = {HOSTS_VARIABLE: ",".join(dict.fromkeys((*names, *workload.file.hosts)))}
    own = [
        {**item, "value": changed[item["name"]]} if item["name"] in changed else item
        for item in stated
    ]
    return [*own, {"name": "MEALKIT_MODELS", "value": _MODELS}]


def _require_fit(workload: Workload) -> None:
    file = workload.file
    if file.rollout.gate != "none":
        raise _unfit("rollout.gate", "KServe has no gate", "rollout.gate: none")
    if file.ingress is not None or file.route is not None:
        place = "ingress" if file.ingress else "route"
        raise _unfit(place, "KServe makes the way from outside by itself", f"leave {place} out")
    if file.weights.place is WeightsIn.PVC:
        raise _unfit("weights.in", "KServe mounts the weights from the image", "in: image-volume")
    if not workload.lock.model.files:
        hint = "mealkit deploy render kubernetes"
        raise _unfit("weights", "the kit has no weights, which KServe requires", hint)
    # KServe reads the runtime's container as a template.
    braced = [name for name, text in file.environment.items() if "{{" in text]
    if braced:
        place = f"environment.{braced[0]}"
        raise _unfit(place, "KServe would read {{ as the begin of a template", "leave it out")


def _unfit(where: str, what: str, hint: str) -> MealkitError:
    return failure("DEPLOY_UNFIT", f"{where}: {what}", hint=hint, where=where)

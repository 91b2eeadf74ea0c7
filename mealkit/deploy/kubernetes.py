"""Renders a kit for Kubernetes: a Deployment with everything around it.

The same objects are written to files, sent to a cluster, and turned into a chart.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mealkit.deploy.deployment_file import WeightsIn
from mealkit.deploy.kubernetes_jobs import gate_objects, state_volume, weights_volume
from mealkit.deploy.kubernetes_metadata import CANDIDATE, metadata_of, selector_of
from mealkit.deploy.kubernetes_network import network_policies, outside_objects, service_of
from mealkit.deploy.kubernetes_pod import pod_of, rolling
from mealkit.deploy.workload import Workload
from mealkit.deploy.yaml_text import yaml_document, yaml_documents

Form = dict[str, Any]

_EXAMPLE_NOTE = """\
# Fill in the values, save it as another file, apply it, and keep it out of version control.
# mealkit key new --name NAME prints a key, and its hash for {file}.
"""


def kubernetes_objects(workload: Workload) -> list[Form]:
    """Return all objects, in the order of applying.

    Those of the rollout's gate have the label ``mealkit.dev/track: candidate``: they are applied
    and waited for before the Deployment, and deleted afterwards.
    """
    gate = workload.file.rollout.gate == CANDIDATE
    return [*_before(workload), *(gate_objects(workload) if gate else ()), *_main(workload)]


def kubernetes_files(workload: Workload) -> Mapping[str, str]:
    """Return the files, by their paths: ``kubectl apply -f FOLDER`` applies those at the top.

    With a gate, ``base.yaml`` comes first, then what is below ``gate``, then the rest. The examples
    of Secrets have another ending, so that they are never applied as they are.
    """
    files = {
        "base.yaml": yaml_documents(_before(workload)),
        "deployment.yaml": yaml_documents(_main(workload)),
    }
    if workload.file.rollout.gate == CANDIDATE:
        candidate, service, job = gate_objects(workload)
        files["gate/candidate.yaml"] = yaml_documents([candidate, service])
        files["gate/test.yaml"] = yaml_document(job)
    if examples := example_secrets(workload):
        files["secrets.yaml.example"] = examples
    return files


def example_secrets(workload: Workload) -> str:
    """Return the Secrets that the objects name, with a place for each value; empty without any."""
    note = _EXAMPLE_NOTE.format(file=workload.file.keys.file)
    secrets = list(_secret_examples(workload))
    return note + yaml_documents(secrets) if secrets else ""


def _before(workload: Workload) -> Iterator[Form]:
    """Yield what must be there before the Pods: rules of the network, volumes."""
    yield from network_policies(workload)
    if workload.file.state.place == "pvc":
        yield state_volume(workload)
    if workload.file.weights.place is WeightsIn.PVC:
        yield from weights_volume(workload)
    yield _disruption_budget(workload)


def _main(workload: Workload) -> Iterator[Form]:
    yield _deployment(workload)
    yield service_of(workload, workload.name)
    yield from outside_objects(workload)


def _deployment(workload: Workload) -> Form:
    """Return the Deployment: an old Pod ends only after a new one is ready."""
    rollout = workload.file.rollout
    selector = selector_of(workload)
    # Two Pods must not write to one volume.
    alone = workload.file.state.place == "pvc"
    # Else 1, which the cluster writes; an autoscaler may then change it, and keeps it.
    is_stated = "replicas" in workload.file.model_fields_set
    updated = {"type": "RollingUpdate", "rollingUpdate": rolling(workload)}
    strategy = {"type": "Recreate"} if alone else updated
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata_of(workload, workload.name, selector),
        "spec": {
            **({"replicas": workload.file.replicas} if is_stated else {}),
            "revisionHistoryLimit": rollout.history,
            "minReadySeconds": rollout.settle_seconds,
            "progressDeadlineSeconds": workload.rollout_seconds,
            "strategy": strategy,
            "selector": {"matchLabels": selector},
            "template": pod_of(workload, selector),
        },
    }


def _disruption_budget(workload: Workload) -> Form:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata_of(workload, workload.name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector_of(workload)},
            # A Pod that cannot start must not keep a node from being emptied.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _secret_examples(workload: Workload) -> Iterator[Form]:
    """Yield the Secrets that the objects name, with a place for each value."""
    values: dict[str, dict[str, str]] = {}
    if workload.keys_secret is not None:
        line = "sha256:HASH NAME\n"
        values.setdefault(workload.keys_secret, {})[workload.file.keys.file] = line
    if workload.test_key is not None and workload.file.rollout.gate == CANDIDATE:
        values.setdefault(workload.test_key.secret, {})[workload.test_key.key] = "KEY"
    if (audit := workload.file.audit_key) is not None:
        values.setdefault(audit.secret, {})[audit.key] = "KEY"
    for item in workload.file.secrets.values():
        values.setdefault(item.secret, {})[item.key] = "VALUE"
    for name, stated in sorted(values.items()):
        yield {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata_of(workload, name),
            "stringData": dict(sorted(stated.items())),
        }

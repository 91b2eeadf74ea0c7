"""Deploys a workload on Kubernetes: policy, preflight of the nodes, then the rendered objects."""

from dataclasses import replace
from decimal import Decimal

from mealkit.clusters.kubernetes_api import KubernetesApi
from mealkit.clusters.kubernetes_node_facts import GPU
from mealkit.deploy.deployment_file import WeightsIn
from mealkit.deploy.kubernetes import kubernetes_objects
from mealkit.deploy.workload import Workload
from mealkit.errors import MealkitError, failures
from mealkit.pipeline.cluster.kubernetes_applying import Applied, ApplyOptions, apply_objects
from mealkit.pipeline.cluster.kubernetes_nodes import PodNeeds, fitting_nodes
from mealkit.pipeline.home import Home
from mealkit.pipeline.machine.stated_needs import stated_by
from mealkit.pipeline.policy.admitting import require_accepted
from mealkit.preflight.finding import Verdict
from mealkit.progress import Progress
from mealkit.recipe.variant import architectures_of

_SHOWN_NODES = 10


def deploy_workload(
    workload: Workload,
    api: KubernetesApi,
    options: ApplyOptions,
    home: Home,
    progress: Progress,
    *,
    check: bool = True,
) -> Applied:
    """Apply a workload, and wait until its pods are ready.

    Raises:
        TrustError: a policy of this machine refuses the image (``POLICY_*``).
        PreflightError: the kit fits on no node, unless ``check`` is off.
        DeploymentError: see `apply_objects`.
    """
    require_accepted(str(workload.image), home, progress)
    if check:
        _require_node(workload, api, home, progress)
    return apply_objects(kubernetes_objects(workload), api, options, progress)


def _require_node(workload: Workload, api: KubernetesApi, home: Home, progress: Progress) -> None:
    """Raise if no node of the cluster can ever run the kit; say so if all are only full.

    A user who may not read nodes gets a warning: the scheduler decides.
    """
    kits = {name: stated_by(workload.lock, name, home) for name in architectures_of(workload.lock)}
    try:
        fitting, machines = fitting_nodes(kits, needs_in(workload), api, progress)
    except MealkitError as error:
        if error.problems[0].code != "CLUSTER_DENIED":
            raise
        progress.notice(
            replace(
                error.problems[0],
                message="the nodes cannot be read, so it is not known whether the kit fits",
            )
        )
        return
    deciding = [item.report.deciding for item in machines]
    problems = [item.problem for item in deciding if item]
    if not fitting and problems:
        named = zip(machines, problems, strict=False)
        raise failures(
            [replace(item, where=f"node {node.name}") for node, item in named][:_SHOWN_NODES]
        )
    if not any(item.report.verdict is not Verdict.DOES_NOT_FIT for item in machines) and problems:
        progress.notice(problems[0])


def needs_in(workload: Workload) -> PodNeeds:
    """Return what a pod of a workload requests."""
    gpus = workload.gpus
    return PodNeeds(
        workload.memory_bytes,
        Decimal(str(workload.file.resources.cpu)),
        gpus.count if gpus else 0,
        gpus.resource if gpus else GPU,
        tuple(item.model_dump(exclude_none=True) for item in workload.file.tolerations),
        workload.file.weights.place is WeightsIn.IMAGE_VOLUME,
    )

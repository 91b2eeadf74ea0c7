"""Pushes a Helm chart to a registry, as Helm does."""

from dataclasses import replace

from mealkit.deploy.helm_chart import chart_artifact, chart_version
from mealkit.deploy.workload import Workload
from mealkit.errors import failure
from mealkit.pipeline.image.uploading import Uploaded, upload
from mealkit.pipeline.targets import registry_named
from mealkit.progress import Progress
from mealkit.stores.registry.reaching import Registries


def push_chart(workload: Workload, text: str, progress: Progress) -> Uploaded:
    """Push a workload's chart to ``REGISTRY/NAME``; its tag is the chart's version, as Helm needs.

    Raises:
        KitError: ``USAGE``, it has another tag; ``TARGET_UNFIT``, it names no registry.
        DeploymentError: ``DEPLOY_UNFIT``, see ``helm_files``.
        RegistryError: ``REGISTRY_*``.
    """
    reference = registry_named(text).reference
    version = chart_version(workload.lock.about.version)
    if reference.digest is not None or reference.tag not in {None, version}:
        message = f"a chart's tag is its version, {version}, and {text} has another one"
        raise failure("USAGE", message, hint=f"--push {reference.name}")
    artifact = chart_artifact(workload)
    with Registries.from_environment() as registries:
        return upload(artifact, replace(reference, tag=version), registries, progress)

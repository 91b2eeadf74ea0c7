"""The formats that a deployment can be rendered as, each by its own module."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:  # the command line reads the formats for its help, which must be fast
    from mealkit.deploy.workload import Workload


class Format(StrEnum):
    """What reads the rendered files."""

    KUBERNETES = "kubernetes"
    HELM = "helm"
    KSERVE = "kserve"
    COMPOSE = "compose"
    SWARM = "swarm"
    QUADLET = "quadlet"


def rendered(workload: "Workload", form: Format) -> Mapping[str, str]:
    """Return the files of a deployment in a format, by their paths in a folder.

    Raises:
        DeploymentError: ``DEPLOY_UNFIT``, the format cannot do what deploy.yaml asks for.
    """
    match form:
        case Format.KUBERNETES:
            from mealkit.deploy.kubernetes import kubernetes_files  # noqa: PLC0415  others need none

            return kubernetes_files(workload)
        case Format.HELM:
            from mealkit.deploy.helm_chart import helm_files  # noqa: PLC0415

            return helm_files(workload)
        case Format.KSERVE:
            from mealkit.deploy.kserve import kserve_files  # noqa: PLC0415

            return kserve_files(workload)
        case Format.COMPOSE:
            from mealkit.deploy.compose import compose_files  # noqa: PLC0415

            return compose_files(workload)
        case Format.SWARM:
            from mealkit.deploy.swarm_stack import stack_files  # noqa: PLC0415

            return stack_files(workload)
        case Format.QUADLET:
            from mealkit.deploy.quadlet import quadlet_files  # noqa: PLC0415

            return quadlet_files(workload)
        case _:
            assert_never(form)


def remarks(workload: "Workload", form: Format) -> list[str]:
    """Return what a person should know about the files, such as what stays closed."""
    from mealkit.deploy.workload_remarks import workload_remarks  # noqa: PLC0415

    match form:
        case Format.KUBERNETES | Format.HELM | Format.KSERVE:
            from mealkit.deploy.kubernetes_network import network_remarks  # noqa: PLC0415

            records = workload_remarks(workload, is_kept_by_default=False)
            return [*records, *network_remarks(workload)]
        case Format.SWARM:
            return list(workload_remarks(workload, is_kept_by_default=False))
        case Format.COMPOSE | Format.QUADLET:
            return list(workload_remarks(workload, is_kept_by_default=True))
        case _:
            assert_never(form)

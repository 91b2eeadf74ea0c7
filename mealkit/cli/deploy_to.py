"""mealkit deploy apply, status, rollback and diff: what a cluster runs, and how it changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, assert_never

import typer

from mealkit.cli.deploy import DeployFile, Image
from mealkit.cli.deploy_lines import change_lines, status_lines
from mealkit.cli.options import (
    AllowFolder,
    Json,
    Kubeconfig,
    KubeContext,
    Namespace,
    PlainHttp,
    RecipeTarget,
    Session,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line
from mealkit.errors import DeploymentError

if TYPE_CHECKING:
    from mealkit.clusters.kubernetes_api import KubernetesApi
    from mealkit.deploy.workload import Workload

EXAMPLES = {
    "apply": (
        "mealkit deploy apply my-kit --target kubernetes --why 'new prompts'",
        "mealkit deploy apply my-kit deploy.yaml --target kubernetes --context prod --json",
    ),
    "status": (
        "mealkit deploy status my-kit --target kubernetes",
        "mealkit deploy status my-kit --target kubernetes --compare kits/my-kit",
    ),
    "rollback": (
        "mealkit deploy rollback my-kit --target kubernetes",
        "mealkit deploy rollback my-kit 3 --target kubernetes --why 'wrong answers'",
    ),
    "diff": ("mealkit deploy diff my-kit --target kubernetes",),
}


Target = Annotated[
    Literal["kubernetes"],
    typer.Option("--target", help="The cluster's kind.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, for the history.", show_default="")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until all pods are ready.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=1,
        help="How long a rollout may take.",
        show_default="by the sizes of image and weights",
    ),
]
ForceConflicts = Annotated[
    bool,
    typer.Option("--force-conflicts", help="Take over fields that other programs manage."),
]


def apply(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    recipe: RecipeTarget,
    file: DeployFile = None,
    *,
    target: Target,
    image: Image = None,
    why: Why = "",
    wait: Wait = True,
    timeout: Timeout = None,
    check: Annotated[
        bool,
        typer.Option("--preflight/--no-preflight", help="Check first whether a node fits."),
    ] = True,
    force_conflicts: ForceConflicts = False,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Roll a kit out on a cluster, and return to the revision before if that fails.

    First the machine's policies decide about the image, the nodes are compared with the kit, and
    the cluster is asked whether it accepts every object. The old pods answer until new ones are
    ready. Exits with 16 if the rollout failed; then the revision before answers again.
    """
    from mealkit.pipeline.cluster.kubernetes_applying import ApplyOptions
    from mealkit.pipeline.cluster.kubernetes_deploying import deploy_workload

    session = session_of(context)
    use_plain_http(plain_http)
    workload = _workload(session, recipe, file, image, namespace, allow_folder)
    match target:
        case "kubernetes":
            options = ApplyOptions(why, force=force_conflicts, wait=wait, seconds=timeout)
            api = _connected(kubeconfig, kube_context, namespace or workload.file.namespace)
            progress = session.progress(as_json=as_json)
            applied = deploy_workload(workload, api, options, session.home, progress, check=check)
        case _:
            assert_never(target)
    if as_json:
        print_json(applied.as_json())
        return
    what = f"revision {applied.revision}" if wait else "applied, not waited for"
    print_line(f"{applied.namespace}/{applied.name}  {what}  {applied.image}")


def status(  # noqa: PLR0913
    context: typer.Context,
    name: Name,
    *,
    target: Target,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="KIT",
            help="Exit with 16 if a pod does not run this kit, lock or image.",
            show_default=False,
        ),
    ] = None,
    image: Image = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show a deployment's revision, pods and problems, with the owner of each."""
    from mealkit.pipeline.cluster.kubernetes_status import Expected, cluster_status

    session = session_of(context)
    use_plain_http(plain_http)
    expected = None
    if compare is not None:
        workload = _workload(session, compare, None, image, namespace, allow_folder)
        expected = Expected(str(workload.lock.recipe), str(workload.image.digest))
    match target:
        case "kubernetes":
            found = cluster_status(_connected(kubeconfig, kube_context, namespace), name, expected)
        case _:
            assert_never(target)
    if as_json:
        print_json(found.as_json())
    else:
        for line in status_lines(found):
            print_line(line)
    if found.is_as_expected is False:
        raise typer.Exit(DeploymentError.exit_code)


def rollback(  # noqa: PLR0913
    context: typer.Context,
    name: Name,
    revision: Annotated[
        int | None,
        typer.Argument(
            metavar="[REVISION]",
            min=1,
            help="The revision; by default the one before.",
            show_default=False,
        ),
    ] = None,
    *,
    target: Target,
    why: Why = "",
    wait: Wait = True,
    timeout: Timeout = None,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    as_json: Json = False,
) -> None:
    """Return a deployment to an earlier revision, which the cluster keeps.

    The present pods answer until those of the earlier revision are ready.
    """
    from mealkit.pipeline.cluster.kubernetes_applying import ApplyOptions
    from mealkit.pipeline.cluster.kubernetes_returning import roll_back

    session = session_of(context)
    match target:
        case "kubernetes":
            options = ApplyOptions(why, wait=wait, seconds=timeout)
            api = _connected(kubeconfig, kube_context, namespace)
            found = roll_back(api, name, revision, options, session.progress(as_json=as_json))
        case _:
            assert_never(target)
    if as_json:
        print_json(found.as_json())
        return
    for line in status_lines(found):
        print_line(line)


def diff(  # noqa: PLR0913
    context: typer.Context,
    recipe: RecipeTarget,
    file: DeployFile = None,
    *,
    target: Target,
    image: Image = None,
    force_conflicts: ForceConflicts = False,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what an apply would change, by the cluster's own dry run; nothing is changed.

    Exits with 16 if there are differences.
    """
    from mealkit.deploy.kubernetes import kubernetes_objects
    from mealkit.pipeline.cluster.kubernetes_diffing import cluster_changes

    session = session_of(context)
    use_plain_http(plain_http)
    workload = _workload(session, recipe, file, image, namespace, allow_folder)
    match target:
        case "kubernetes":
            api = _connected(kubeconfig, kube_context, namespace or workload.file.namespace)
            objects = kubernetes_objects(workload)
            progress = session.progress(as_json=as_json)
            found = cluster_changes(objects, api, progress, force=force_conflicts)
        case _:
            assert_never(target)
    if as_json:
        print_json({"changes": [item.as_json() for item in found]})
    else:
        for line in change_lines(found):
            print_line(line)
    if found:
        raise typer.Exit(DeploymentError.exit_code)


def _workload(
    session: Session,
    recipe: str,
    file: Path | None,
    image: str | None,
    namespace: str | None,
    allowed: Sequence[Path],
) -> "Workload":
    from mealkit.pipeline.cluster.deployment_target import DeployRequest, workload_of

    request = DeployRequest(recipe, file, image, namespace=namespace, allowed=allowed)
    return workload_of(request, session.home, session.progress())


def _connected(
    kubeconfig: Path | None, context: str | None, namespace: str | None
) -> "KubernetesApi":
    from mealkit.clusters.kubernetes_connection import ClusterAccess, connect

    return connect(ClusterAccess(kubeconfig, context, namespace))

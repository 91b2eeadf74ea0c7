"""mealkit deploy apply, status, rollback and diff: what a cluster runs, and how it changes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, assert_never

import typer

from mealkit.cli import deploy_kubernetes, deploy_swarm
from mealkit.cli.deploy import DeployFile, Image
from mealkit.cli.deploy_kubernetes import ClusterOptions, RolloutOptions
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
from mealkit.cli.output import say
from mealkit.deploy.rendered_formats import Format, remarks
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.deploy.workload import Workload

EXAMPLES = {
    "apply": (
        "mealkit deploy apply my-kit --target kubernetes --why 'new prompts'",
        "mealkit deploy apply my-kit deploy.yaml --target kubernetes --json",
        "mealkit deploy apply my-kit deploy.yaml --target swarm --keys keys.txt",
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
    Literal["kubernetes", "swarm"],
    typer.Option("--target", help="The cluster's kind.", show_default=False),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The deployment's name.")]
Why = Annotated[
    str,
    typer.Option("--why", metavar="TEXT", help="The reason, for the history.", show_default="none"),
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
KeysFile = Annotated[
    Path | None,
    typer.Option(
        "--keys",
        metavar="FILE",
        help="For Swarm: the file of the keys' hashes (mealkit key new); it becomes a secret.",
        show_default="the keys that the deployment has",
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
    keys: KeysFile = None,
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
    """Roll a kit out on a cluster; go back if that fails.

    First the machine's policies decide about the image, the nodes are compared with the kit, and
    the cluster is asked whether it accepts every object. The old replicas answer until new ones
    are ready. Exits with 16 if the rollout failed; then the revision before answers again.
    """
    session = session_of(context)
    use_plain_http(plain_http)
    workload = _workload(session, recipe, file, image, namespace, allow_folder)
    for remark in remarks(workload, Format(target)):
        say(f"note: {remark}")
    match target:
        case "kubernetes":
            _refuse_for_swarm(keys)
            where = ClusterOptions(kubeconfig, kube_context, namespace)
            how = RolloutOptions(why, wait, timeout, check, force_conflicts)
            deploy_kubernetes.apply(workload, where, how, session, as_json=as_json)
        case "swarm":
            others = {
                "--no-wait": not wait,
                "--timeout": timeout,
                "--force-conflicts": force_conflicts,
            }
            deploy_swarm.refuse({**others, "--namespace": namespace, "--context": kube_context})
            deploy_swarm.apply(workload, keys, why, session, check=check, as_json=as_json)
        case _:
            assert_never(target)


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
    """Show a deployment's revision, replicas and problems.

    On Swarm it exits with 16 if a replica is missing.
    """
    session = session_of(context)
    use_plain_http(plain_http)
    wanted = None
    if compare is not None:
        wanted = _workload(session, compare, None, image, namespace, allow_folder)
    match target:
        case "kubernetes":
            where = ClusterOptions(kubeconfig, kube_context, namespace)
            deploy_kubernetes.status(name, where, wanted, as_json=as_json)
        case "swarm":
            deploy_swarm.refuse({"--compare": compare, "--namespace": namespace})
            deploy_swarm.status(name, as_json=as_json)
        case _:
            assert_never(target)


def rollback(  # noqa: PLR0913
    context: typer.Context,
    name: Name,
    revision: Annotated[
        int | None,
        typer.Argument(
            metavar="REVISION",
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
    """Return a deployment to an earlier revision.

    The present replicas answer until those of the earlier revision are ready.
    """
    match target:
        case "kubernetes":
            where = ClusterOptions(kubeconfig, kube_context, namespace)
            how = RolloutOptions(why, wait, timeout)
            session = session_of(context)
            deploy_kubernetes.rollback(name, revision, where, how, session, as_json=as_json)
        case "swarm":
            deploy_swarm.refuse({"--no-wait": not wait, "--timeout": timeout})
            deploy_swarm.rollback(name, revision, why, session_of(context), as_json=as_json)
        case _:
            assert_never(target)


def diff(  # noqa: PLR0913
    context: typer.Context,
    recipe: RecipeTarget,
    file: DeployFile = None,
    *,
    target: Target,
    image: Image = None,
    keys: KeysFile = None,
    force_conflicts: ForceConflicts = False,
    kubeconfig: Kubeconfig = None,
    kube_context: KubeContext = None,
    namespace: Namespace = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Show what an apply would change; nothing is changed.

    Kubernetes is asked for its own dry run; a service of Swarm is compared with the new one.

    Exits with 16 if there are differences.
    """
    session = session_of(context)
    use_plain_http(plain_http)
    workload = _workload(session, recipe, file, image, namespace, allow_folder)
    match target:
        case "kubernetes":
            _refuse_for_swarm(keys)
            where = ClusterOptions(kubeconfig, kube_context, namespace)
            deploy_kubernetes.diff(workload, where, session, force=force_conflicts, as_json=as_json)
        case "swarm":
            deploy_swarm.refuse({"--force-conflicts": force_conflicts, "--namespace": namespace})
            deploy_swarm.diff(workload, keys, as_json=as_json)
        case _:
            assert_never(target)


def _refuse_for_swarm(keys: Path | None) -> None:
    """Refuse a file of keys, which would otherwise be ignored."""
    if keys is not None:
        hint = f"kubectl create secret generic NAME-keys --from-file=keys.txt={keys}"
        raise failure("USAGE", "--keys is for --target swarm", hint=hint)


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

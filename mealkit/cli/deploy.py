"""mealkit deploy: write what Kubernetes, Swarm, compose and systemd read."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.options import AllowFolder, PlainHttp, RecipeTarget, session_of, use_plain_http
from mealkit.cli.output import print_line, printable, say
from mealkit.deploy.rendered_formats import Format
from mealkit.errors import failure

HELP = "Run a kit on a cluster, by the cluster's own means."
EXAMPLES = {
    "render": (
        "mealkit deploy render kubernetes my-kit --image host:5000/my-kit:1.0.0",
        "mealkit deploy render kubernetes my-kit deploy.yaml --output manifests",
        "mealkit deploy render helm my-kit --push host:5000/charts/my-kit",
        "mealkit deploy render compose my-kit deploy.yaml --output .",
        "mealkit deploy render quadlet my-kit --output /etc/containers/systemd",
    ),
}

DeployFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="DEPLOY.YAML",
        help="Where and how the kit is to run; by default deploy.yaml in the kit's folder.",
        show_default=False,
    ),
]
Image = Annotated[
    str | None,
    typer.Option(
        metavar="REF", help="The image in a registry: REGISTRY/NAME:TAG, or with its digest."
    ),
]


def render(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    form: Annotated[Format, typer.Argument(metavar="FORMAT", help="Who reads the files.")],
    target: RecipeTarget,
    file: DeployFile = None,
    *,
    image: Image = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Write the files here; else to stdout."
        ),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="REGISTRY/NAME",
            help="For helm: push the chart there; its tag is the kit's version.",
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
) -> None:
    """Write the files that a cluster reads.

    They are made from the kit's lock and deploy.yaml, which says where and how the kit is to run.
    The image is named by its digest, so the files always mean the same. A tag is looked up in its
    registry.
    """
    from mealkit.deploy.rendered_formats import remarks, rendered
    from mealkit.pipeline.cluster.deployment_target import DeployRequest, workload_of
    from mealkit.pipeline.cluster.rendered_files import write_files

    session = session_of(context)
    use_plain_http(plain_http)
    request = DeployRequest(target, file, image, allowed=allow_folder)
    workload = workload_of(request, session.home, session.progress())
    files = rendered(workload, form)
    for remark in remarks(workload, form):
        say(f"note: {remark}")
    if push is not None:
        from mealkit.pipeline.cluster.chart_pushing import push_chart

        _require_helm(form)
        done = push_chart(workload, push, session.progress())
        print_line(f"oci://{done.reference.name} {done.reference.tag} {done.digest}")
        if output is None:
            return
    if output is None:
        _print(files, form)
        return
    for path in write_files(files, output):
        say(f"wrote {path}")


def _require_helm(form: Format) -> None:
    if form is not Format.HELM:
        raise failure("USAGE", "--push is for helm", hint="mealkit deploy render helm ...")


def _print(files: Mapping[str, str], form: Format) -> None:
    """Print the files that are applied at once, for a pipe to kubectl; never an example."""
    if form is Format.HELM:
        hint = "--output FOLDER, or --push REGISTRY/NAME"
        raise failure("USAGE", "a chart is a folder of files", hint=hint)
    printed = [name for name in files if "/" not in name and not name.endswith(".example")]
    for name in printed:
        separator = "---\n" if name.endswith(".yaml") and name != printed[0] else ""
        sys.stdout.write(separator + printable(files[name]))
    if rest := [name for name in files if name not in printed]:
        say(f"note: --output FOLDER also writes {', '.join(rest)}")

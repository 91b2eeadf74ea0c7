"""mealkit status: show the deployments of this machine, and repair what was interrupted."""

from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.completing import deployed_names
from mealkit.cli.history import moment
from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

if TYPE_CHECKING:
    from mealkit.pipeline.operate.deployment_site import Site
    from mealkit.pipeline.operate.deployment_status import DeploymentStatus

EXAMPLES = ("mealkit status", "mealkit status search", "mealkit status search --json")


def status(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The deployment's name.",
            show_default="all",
            autocompletion=deployed_names,
        ),
    ] = None,
    *,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Stay, and start a revision again that has ended, until it is down."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the deployments of this machine, and repair them.

    What an interrupted command left is finished or undone first, and a revision that should run
    and does not is started again. Times are in this machine's time zone.
    """
    from mealkit.pipeline.operate.deployment_site import this_site
    from mealkit.pipeline.operate.deployment_status import statuses

    session = session_of(context)
    site = this_site(session.home, session.progress(as_json=as_json))
    if keep:
        _keep(name, site)
        return
    found = statuses(name, site)
    if as_json:
        print_json([item.as_json() for item in found])
        return
    if name is None:
        heads = ("name", "revision", "kit", "health", "address", "since", "by")
        for line in table(heads, [_row(item) for item in found], frozenset({1})):
            print_line(line)
        return
    for item in found:
        _describe(item)


def _keep(name: str | None, site: "Site") -> None:
    import threading

    from mealkit.errors import failure
    from mealkit.pipeline.operate.keeping import keep

    if name is None:
        raise failure("USAGE", "--keep needs the name of a deployment")
    keep(name, site, threading.Event().wait)


def _row(item: "DeploymentStatus") -> tuple[str, ...]:
    serving = item.serving
    if serving is None:
        return (item.deployment.name, "", "", item.health, item.deployment.url, "", "")
    return (
        item.deployment.name,
        str(serving.number),
        serving.kit,
        item.health,
        item.deployment.url,
        moment(serving.created_seconds),
        serving.user,
    )


def _describe(item: "DeploymentStatus") -> None:
    deployment, serving = item.deployment, item.serving
    lines = [("name", deployment.name), ("health", item.health), ("address", deployment.url)]
    if serving is not None:
        tested = serving.tested
        held = sum(one.verdict == "holds" for one in tested)
        lines += [
            ("revision", str(serving.number)),
            ("kit", serving.kit),
            ("recipe", serving.recipe or ""),
            ("image", serving.image or ""),
            ("by", serving.user),
            ("at", moment(serving.created_seconds)),
            ("why", serving.reason),
            ("claims", f"{held} of {len(tested)} hold" if tested else "not tested"),
        ]
    lines += [
        ("client", deployment.client),
        ("restart", deployment.restart),
        ("restarts", "unknown" if item.restarts is None else str(item.restarts)),
    ]
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        if value:
            print_line(f"{name.ljust(width)}  {value}")
    rows = [
        (
            str(one.number),
            one.kit,
            str(one.state),
            moment(one.created_seconds),
            one.user,
            one.reason,
        )
        for one in reversed(deployment.revisions)
    ]
    print_line("")
    heads = ("revision", "kit", "state", "created", "by", "why")
    for line in table(heads, rows, frozenset({0})):
        print_line(line)

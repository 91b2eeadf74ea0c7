"""mealkit up: start a deployment, or upgrade it without losing a request."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.completing import deployed_names, stored_names
from mealkit.cli.options import AllowFolder, Client, Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, say
from mealkit.cli.preflight import Override, Reason
from mealkit.cli.verdicts import TestLines

if TYPE_CHECKING:
    from mealkit.pipeline.operate.testing_revisions import Chosen
    from mealkit.pipeline.operate.upgrading import Changed

EXAMPLES = (
    "mealkit up search my-kit",
    "mealkit up search my-kit:1.1.0 --why 'smaller index'",
    "mealkit up search my-kit --test all --watch 300",
    "mealkit up search my-kit --address 0.0.0.0 --keys keys.txt --restart always",
)

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The deployment's name.", autocompletion=deployed_names),
]
Why = Annotated[
    str,
    typer.Option(metavar="TEXT", help="Why, for the history.", show_default="none"),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait while another command changes the deployment."),
]


def up(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    name: Name,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A kit's folder, or an image: NAME:VERSION, a digest, REGISTRY/NAME:TAG,"
            " oci:DIR or oci-archive:FILE.",
            autocompletion=stored_names,
        ),
    ],
    *,
    why: Why = "",
    client: Client = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="The port on this machine.",
            show_default="the deployment's, or the kit's",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            help="The address of this machine to listen on.",
            show_default="the deployment's, or 127.0.0.1",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Require an API key from this file; needed unless the address is loopback.",
            show_default="the deployment's, or none",
        ),
    ] = None,
    origin: Annotated[
        list[str],
        typer.Option(
            metavar="ORIGIN",
            help="Let pages of this origin call the kit from a browser; may be repeated.",
            show_default="the deployment's, or none",
        ),
    ] = [],  # noqa: B006  typer copies it
    ops: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prices, budgets and audit log, as YAML or JSON: each section of ops that the file"
            " states replaces the kit's.",
            show_default="the deployment's, or the kit's",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Take keys, origins and ops only from this command, not from the deployment.",
        ),
    ] = False,
    restart: Annotated[
        Literal["no", "on-failure", "unless-stopped", "always"] | None,
        typer.Option(
            help="When the container client starts it again.",
            show_default="the deployment's, or unless-stopped",
        ),
    ] = None,
    test: Annotated[
        list[str],
        typer.Option(
            metavar="all|cases|none|CLAIM",
            help="What is tested before the traffic moves; a claim's name may be repeated.",
            show_default="cases and quick claims",
        ),
    ] = [],  # noqa: B006
    watch: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Seconds to compare errors and latency with those of the revision before.",
        ),
    ] = 60.0,
    max_errors: Annotated[
        float,
        typer.Option(
            metavar="POINTS",
            min=0,
            help="By how many percentage points the share of errors may be higher than before.",
        ),
    ] = 1.0,
    max_slowdown: Annotated[
        float,
        typer.Option(
            metavar="FACTOR", min=1, help="How many times as long the mean answer may take."
        ),
    ] = 2.0,
    stop_first: Annotated[
        bool,
        typer.Option(
            "--stop-first",
            help="Stop the old revision before the new one starts, even if both fit.",
        ),
    ] = False,
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Load the full image instead of mounting the weights."),
    ] = False,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The architecture of the image to run.",
            show_default="this machine's",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=1, help="Seconds to wait until a revision is ready."),
    ] = 600.0,
    wait: Wait = False,
    override: Override = [],  # noqa: B006
    reason: Reason = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Start a deployment, or upgrade it without losing a request.

    The new revision starts beside the old one, if both fit. It must become ready and pass its
    tests before it gets requests; the old one answers the requests that it has. If anything fails,
    the old revision keeps the traffic, or gets it back.
    """
    from mealkit.deploy.watch import WatchLimits
    from mealkit.pipeline.operate.deployment_site import this_site
    from mealkit.pipeline.operate.up_request import UpRequest
    from mealkit.pipeline.operate.upgrading import up as up_deployment
    from mealkit.pipeline.run.operations_file import read_operations
    from mealkit.pipeline.run.run_request import RunRequest
    from mealkit.preflight.override import overrides_of

    session = session_of(context)
    use_plain_http(plain_http)
    run = RunRequest(
        target=target,
        client=client,
        port=port,
        keys=keys,
        ops=read_operations(ops) if ops else None,
        origins=tuple(origin),
        embedded=embedded,
        architecture=architecture,
        timeout_seconds=timeout,
        overrides=overrides_of(override, reason),
        allowed=tuple(allow_folder),
    )
    limits = WatchLimits(watch, max_errors, max_slowdown)
    request = UpRequest(
        name,
        run,
        why,
        address,
        restart,
        tests=_chosen(test),
        watch=limits,
        stops_first=stop_first,
        wait=wait,
        inherits=not fresh,
    )
    progress = session.progress(as_json=as_json)
    site = this_site(session.home, progress)
    changed = up_deployment(request, site, TestLines(progress))
    tell_changed(changed, as_json=as_json, quiet=session.quiet)


def tell_changed(changed: "Changed", *, as_json: bool, quiet: bool) -> None:
    """Write which revision has the traffic after a command."""
    deployment, revision = changed.deployment, changed.revision
    if as_json:
        form = {
            "name": deployment.name,
            "url": deployment.url,
            "changed": changed.did,
            "revision": revision and revision.model_dump(mode="json"),
        }
        print_json(form)
        return
    if not quiet and revision is not None:
        what = "has the traffic" if changed.did else "has the traffic already"
        say(f"revision {revision.number} of {deployment.name} ({revision.kit}) {what}")
        say(f"  history   mealkit history {deployment.name}")
        say(f"  way back  mealkit rollback {deployment.name}")
    print_line(deployment.url)


def _chosen(texts: list[str]) -> "Chosen | None":
    from mealkit.errors import failure
    from mealkit.pipeline.operate.testing_revisions import Chosen

    words = {"all", "cases", "none"} & set(texts)
    if words and len(texts) > 1:
        raise failure("USAGE", "--test all, cases and none stand alone", hint="see --help")
    match texts:
        case []:
            return Chosen()
        case ["none"]:
            return None
        case ["all"]:
            return Chosen(everything=True)
        case ["cases"]:
            return Chosen(cases_only=True)
        case _:
            return Chosen(claims=tuple(texts))

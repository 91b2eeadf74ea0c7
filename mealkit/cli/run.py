"""mealkit run: start a kit and wait until it answers."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Client,
    Json,
    KitOrImage,
    PlainHttp,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_json, print_line, say
from mealkit.cli.preflight import Override, Reason
from mealkit.cli.verdicts import TestLines, end_with, tell_report

if TYPE_CHECKING:
    from mealkit.pipeline.run.running import RunReport

EXAMPLES = (
    "mealkit run my-kit",
    "mealkit run my-kit:1.0.0 --client docker --embedded",
    "mealkit run my-kit --address 0.0.0.0 --keys keys.txt",
    "mealkit run my-kit --architecture arm64",
    "mealkit run my-kit --ops budgets.yaml",
    "mealkit run my-kit --replace",
    "mealkit run my-kit --test",
    "mealkit run registry.example.org/team/my-kit:1.0.0 --port 0",
)


def run(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: KitOrImage = HERE,
    *,
    client: Client = None,
    name: Annotated[
        str | None, typer.Option(help="The container's name.", show_default="the kit's")
    ] = None,
    replaces: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Stop the kit that has the name, once the new one has been ready without a port;"
            " it gets the old one's port.",
        ),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port on this machine; 0 for any free port.", show_default="the kit's"
        ),
    ] = None,
    address: Annotated[
        str, typer.Option(help="The address of this machine to listen on.")
    ] = "127.0.0.1",
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Require an API key from this file; needed unless the address is loopback.",
            show_default="none",
        ),
    ] = None,
    origin: Annotated[
        list[str],
        typer.Option(
            metavar="ORIGIN",
            help="Let pages of this origin call the kit from a browser, such as"
            " https://app.example.com; may be repeated.",
            show_default="none",
        ),
    ] = [],  # noqa: B006
    embedded: Annotated[
        bool,
        typer.Option("--embedded", help="Load the full image instead of mounting the weights."),
    ] = False,
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The architecture of the image to run; another one than this machine's needs an"
            " emulator.",
            show_default="this machine's",
        ),
    ] = None,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="Test the kit's claims and cases when it is ready; stop it if one fails.",
        ),
    ] = False,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The API key for --test, if callers need one.",
            show_default="none",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=1, help="Seconds to wait until the kit is ready."),
    ] = 600.0,
    ops: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Prices, budgets and audit log for this run, as YAML or JSON: each section of ops"
            " that the file states replaces the kit's.",
            show_default="the kit's",
        ),
    ] = None,
    override: Override = [],  # noqa: B006  typer copies it
    reason: Reason = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Start a kit, wait until it answers, and print its address."""
    from mealkit.pipeline.run.operations_file import read_operations
    from mealkit.pipeline.run.run_request import RunRequest
    from mealkit.pipeline.run.running import run_kit
    from mealkit.preflight.override import overrides_of

    session = session_of(context)
    use_plain_http(plain_http)
    overrides = overrides_of(override, reason)
    request = RunRequest(
        target=target,
        client=client,
        name=name,
        replaces=replaces,
        port=port,
        address=address,
        keys=keys,
        origins=tuple(origin),
        embedded=embedded,
        architecture=architecture,
        timeout_seconds=timeout,
        overrides=overrides,
        allowed=tuple(allow_folder),
        ops=read_operations(ops) if ops else None,
    )
    progress = session.progress(as_json=as_json)
    report = run_kit(request, session.home, progress)
    if test:
        from mealkit.pipeline.proof.kit_testing import test_running

        tested = test_running(
            report, request, api_key_file, session.home, progress, TestLines(progress)
        )
        tell_report(tested)
        end_with(tested, strict=False)
    if as_json:
        print_json({**asdict(report), "owner": report.owner.model_dump(mode="json")})
        return
    if not session.quiet:
        _describe(report)
    print_line(report.url)


def _describe(report: "RunReport") -> None:
    owner = report.owner
    say(f"{report.kit} is ready after {report.ready_seconds:.1f} s, in {report.client}")
    say(f"  try    {report.example}")
    say(f"  page   {report.url}/")
    say(f"  owner  {owner.team}, {owner.contact}: {owner.support}")
    say(f"  stop   mealkit stop {report.name}")

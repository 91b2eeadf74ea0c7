"""mealkit test: measure what a kit promises, and say whether it is true."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.completing import kits_to_ask
from mealkit.cli.options import (
    HERE,
    AllowFolder,
    Json,
    PlainHttp,
    Session,
    session_of,
    use_plain_http,
)
from mealkit.cli.preflight import Override, Reason
from mealkit.cli.report import CtrfFile, EarlierFile, JUnitFile, ReproductionFile
from mealkit.cli.salt_table import show_salt
from mealkit.cli.verdicts import TestLines, end_with, show_report
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.proof.reporting import ReportPaths
    from mealkit.pipeline.proof.salting import SaltRequest

EXAMPLES = (
    "mealkit test my-kit",
    "mealkit test my-kit --claim sts-spearman --limit 100",
    "mealkit test my-kit:1.0.0 --cases-only",
    "mealkit test https://kit.example.org --kit my-kit --api-key-file key.txt",
    "mealkit test my-kit --strict --json",
    "mealkit test my-kit --report result.html --junit junit.xml",
    "mealkit test my-kit --salt --write-readme my-kit/README.md",
    "mealkit test my-kit --salt --change hyperparameters.max_length=64",
)


def test(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A kit's folder, an image, a kit or deployment that runs here by its name, or an"
            " address: http(s)://HOST[:PORT].",
            show_default="here",
            autocompletion=kits_to_ask,
        ),
    ] = HERE,
    *,
    kit: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET",
            help="The kit or image with the claims for a kit that runs already.",
            show_default="what the running kit states",
        ),
    ] = None,
    claim: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Test only this claim, and no cases; may be repeated.",
            show_default="all",
        ),
    ] = [],  # noqa: B006  typer copies it
    cases_only: Annotated[
        bool, typer.Option("--cases-only", help="Test only the cases, and no claims.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="ROWS",
            min=1,
            help="Ask at most this many rows for each claim; a claim with more is measured, but"
            " not judged.",
            show_default="all",
        ),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            max=256,
            help="The number of requests at a time.",
            show_default="4; 1 for speed",
        ),
    ] = None,
    timeout: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=1,
            help="Seconds to wait until the kit is ready, and at most 300 for one answer.",
        ),
    ] = 600.0,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Also fail for claims and cases that were not judged."),
    ] = False,
    salt: Annotated[
        bool,
        typer.Option(
            "--salt",
            help="Change one pinned value at a time, and report which claims and cases notice it.",
        ),
    ] = False,
    change: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD[=VALUE]|package=NAME==VERSION",
            help="With --salt: make only this change, to a value of mealkit's choice or to yours;"
            " may be repeated.",
            show_default="every value that the engine can change",
        ),
    ] = [],  # noqa: B006
    write_readme: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --salt: also write the result as a table into this README.",
            show_default="none",
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Read the API key for a running kit from this file.",
            show_default="none",
        ),
    ] = None,
    client: Annotated[
        Literal["docker", "podman", "sandbox"] | None,
        typer.Option(
            help="The container client to start the kit with.",
            show_default="the first that works",
        ),
    ] = None,
    override: Override = [],  # noqa: B006
    reason: Reason = [],  # noqa: B006
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the result: a page with plots if FILE ends in .html, else JSON.",
            show_default="none",
        ),
    ] = None,
    junit: JUnitFile = None,
    ctrf: CtrfFile = None,
    reproduction: ReproductionFile = None,
    earlier: EarlierFile = None,
    as_json: Json = False,
) -> None:
    """Test a kit: its cases, and its claims with their data.

    A kit that does not run is started, and stopped at the end. Exits with 14 if a claim or a case
    fails. The answers of an interrupted test are kept, and the next one goes on with them.
    """
    if (change or write_readme) and not salt:
        message = "--change and --write-readme say how pinned values are changed"
        raise failure("USAGE", message, hint="add --salt")
    if salt and (kit or api_key_file):
        message = "--kit and --api-key-file are for a kit that runs already; --salt starts its own"
        raise failure("USAGE", message, hint="name the kit's folder, and leave them out")
    from mealkit.acceptance.target import TestOptions
    from mealkit.pipeline.proof.kit_testing import TestRequest, test_kit
    from mealkit.pipeline.proof.reporting import ReportPaths, check_paths, is_page, write_reports
    from mealkit.pipeline.proof.salting import SaltRequest
    from mealkit.pipeline.run.run_request import RunRequest
    from mealkit.preflight.override import overrides_of

    session = session_of(context)
    use_plain_http(plain_http)
    page, data = (report, None) if report and is_page(report) else (None, report)
    paths = ReportPaths(page, data, junit, ctrf, reproduction, earlier)
    check_paths(paths, only_result=salt)
    run = RunRequest(
        target=target,
        client=client,
        timeout_seconds=timeout,
        overrides=overrides_of(override, reason),
        allowed=tuple(allow_folder),
    )
    options = TestOptions(
        claims=tuple(claim),
        cases_only=cases_only,
        limit=limit,
        concurrency=concurrency,
        timeout_seconds=min(timeout, 300.0),
    )
    if salt:
        salt_request = SaltRequest(run, tuple(change), options)
        _salt(session, salt_request, write_readme, paths, as_json=as_json)
        return
    request = TestRequest(run, options, kit, api_key_file, tuple(plain_http))
    progress = session.progress(as_json=as_json)
    result = test_kit(request, session.home, progress, TestLines(progress))
    show_report(result, as_json=as_json, quiet=session.quiet)
    for path in write_reports(result, paths):
        progress.phase(f"written to {path}")
    end_with(result, strict=strict)


def _salt(
    session: Session,
    request: "SaltRequest",
    readme: Path | None,
    paths: "ReportPaths",
    *,
    as_json: bool,
) -> None:
    """Test the kit with one changed value after the other. What a change breaks is no failure."""
    from mealkit.pipeline.proof.reporting import write_salt
    from mealkit.pipeline.proof.salt_readme import check_readme, write_readme
    from mealkit.pipeline.proof.salting import salt_kit

    progress = session.progress(as_json=as_json)
    if readme is not None:
        check_readme(readme)
    report = salt_kit(request, session.home, progress, TestLines(progress))
    if readme is not None:
        write_readme(report, readme)
    show_salt(report, as_json=as_json, quiet=session.quiet)
    for path in write_salt(report, paths):
        progress.phase(f"written to {path}")

"""mealkit report: write a test's result for people and for CI, without testing again."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.options import Json
from mealkit.cli.output import print_json, print_line

EXAMPLES = (
    "mealkit report result.json --html result.html",
    "mealkit report result.json --junit junit.xml --ctrf ctrf.json",
    "mealkit report result.json --reproduction reproduction.html",
    "mealkit report result.json --reproduction r.json --earlier authors.json",
)

HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write a page with plots for people."),
]
JUnitFile = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML for CI.")
]
CtrfFile = Annotated[
    Path | None,
    typer.Option("--ctrf", metavar="FILE", help="Write Common Test Report Format for CI."),
]
ReproductionFile = Annotated[
    Path | None,
    typer.Option(
        "--reproduction",
        metavar="FILE",
        help="Write whether the paper is reproduced here: a page if FILE ends in .html, else JSON.",
    ),
]
EarlierFile = Annotated[
    Path | None,
    typer.Option(
        "--earlier",
        metavar="FILE",
        help="Compare the reproduction with this earlier result too, such as the author's (JSON).",
    ),
]


def report(  # noqa: PLR0913  one parameter for each option
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="A result of mealkit test --json, with or without --salt."
        ),
    ],
    *,
    html: HtmlFile = None,
    junit: JUnitFile = None,
    ctrf: CtrfFile = None,
    reproduction: ReproductionFile = None,
    earlier: EarlierFile = None,
    as_json: Json = False,
) -> None:
    """Write the result of a test for people and for CI.

    It reads the JSON that mealkit test has written, and tests nothing.
    """
    from mealkit.errors import failure
    from mealkit.pipeline.proof.reporting import ReportPaths, write_again

    paths = ReportPaths(html, None, junit, ctrf, reproduction, earlier)
    if not any((html, junit, ctrf, reproduction)):
        hint = "add --html FILE, --junit FILE, --ctrf FILE or --reproduction FILE"
        raise failure("USAGE", "no file to write is named", hint=hint)
    written = [str(path) for path in write_again(result, paths)]
    if as_json:
        print_json({"written": written})
        return
    for path in written:
        print_line(f"written  {path}")

"""mealkit fit: compare data with a kit's data contract, before any request is sent."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.options import AllowFolder, Json, PlainHttp, session_of, use_plain_http
from mealkit.cli.output import print_json, print_line, print_problem, print_problems_json, table
from mealkit.errors import DataError, problem

if TYPE_CHECKING:
    from mealkit.contract.fit_report import FitReport, RuleResult
    from mealkit.contract.population_drift import FieldDrift

EXAMPLES = (
    "mealkit fit data.jsonl my-kit",
    "mealkit fit 2026/*.parquet --kit my-kit:1.0.0",
    "mealkit fit texts/ --kit my-kit --input query --json",
    "mealkit fit data.jsonl my-kit --report fit.html",
    "mealkit fit training.jsonl my-kit --profile my-kit/data_profile.json",
)


def fit(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="JSONL, CSV or Parquet files, or folders of texts; last, the kit may be named.",
        ),
    ],
    *,
    kit: Annotated[
        str | None,
        typer.Option(
            metavar="KIT",
            help="The kit: its folder, a kit.lock or an image.",
            show_default="the last argument, if it is a kit; else the kit here",
        ),
    ] = None,
    text_input: Annotated[
        str | None,
        typer.Option(
            "--input",
            metavar="NAME",
            help="The input that text files are for.",
            show_default="the contract's only input",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write statistics of the data to this file, for data.profile in kit.yaml.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write what was found: a page with plots if FILE ends in .html, else JSON.",
            show_default="none",
        ),
    ] = None,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Show which rows of data files a kit would refuse, and why.

    Each row is checked like one request, by the rules of the kit's data contract. If the kit has a
    profile of the data that it was made for, the differences are shown, too. Nothing is sent,
    started or changed. Exits with 15 if a row would be refused or cannot be read.
    """
    from mealkit.pipeline.data.fitting_data import FitRequest, files_and_kit, fit_data
    from mealkit.pipeline.proof.reporting import write_fit

    session = session_of(context)
    use_plain_http(plain_http)
    names, target = files_and_kit(files, kit)
    request = FitRequest(tuple(map(Path, names)), target, text_input, profile, tuple(allow_folder))
    progress = session.progress(as_json=as_json)
    found = fit_data(request, session.home, progress)
    if as_json:
        print_json(found.as_json())
    else:
        for line in _lines(found):
            print_line(line)
    if profile is not None:
        progress.phase(f"profile written to {profile}; name it as data.profile in kit.yaml")
    if report is not None:
        write_fit(found, report)
        progress.phase(f"written to {report}")
    if not found.fits:
        _end(found, as_json=as_json)


def _end(report: "FitReport", *, as_json: bool) -> None:
    counts = [f"{report.refused} of {report.rows} rows would be refused"]
    if report.unreadable:
        counts.append(f"{report.unreadable} cannot be read")
    found = problem("DATA_REFUSED", ", and ".join(counts), where=report.kit)
    if as_json:
        print_problems_json([found])
    else:
        print_problem(found)
    raise typer.Exit(DataError.exit_code)


def _lines(report: "FitReport") -> Iterator[str]:
    for item in report.findings:
        place = item.file if item.line is None else f"{item.file}:{item.line}"
        yield f"{place}: {item.what}{f' ({item.hint})' if item.hint else ''}"
    if report.findings:
        yield ""
    if report.rules:
        yield from _rules(report.rules)
        yield ""
    if report.drift:
        yield from _drift(report.drift)
        yield ""
    if report.repeated:
        yield f"{report.repeated} rows are repetitions of earlier ones"
    for name in report.unchecked:
        yield f"not checked: {name}"
    yield (
        f"{report.kit}: {report.rows} rows in {len(report.files)} files, {report.refused} would be "
        f"refused, {report.warned} answered with a warning, {report.unreadable} cannot be read"
    )


def _drift(drift: "tuple[FieldDrift, ...]") -> Iterator[str]:
    rows = [
        (item.name, item.measure, _number(item.psi), _number(item.ks), _shares(item), _word(item))
        for item in drift
    ]
    yield from table(("input", "measure", "psi", "ks", "share", "drift"), rows, frozenset({2, 3}))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _shares(item: "FieldDrift") -> str:
    if item.share is None or item.profile_share is None:
        return ""
    return f"{item.profile_share:.1%}, now {item.share:.1%}"


def _word(item: "FieldDrift") -> str:
    from mealkit.contract.population_drift import MUCH_DRIFT, SOME_DRIFT

    if item.psi is None:
        return ""
    return "much" if item.psi > MUCH_DRIFT else "some" if item.psi > SOME_DRIFT else "little"


def _rules(rules: "tuple[RuleResult, ...]") -> Iterator[str]:
    rows = [
        (f"{item.name}.{item.rule}", item.action.value, str(item.rows), item.required)
        for item in rules
    ]
    yield from table(("rule", "action", "rows", "required"), rows, frozenset({2}))
    for item in rules:
        yield ""
        yield f"{item.name}.{item.rule}  {item.code}"
        for example in item.examples:
            place = f"{example.file}:{example.line}"
            yield f"  {place}  {example.field}  {example.measured}: {example.value}"

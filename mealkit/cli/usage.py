"""mealkit usage: report what kits have used, by key, day and kit."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.completing import running_names
from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, say, table
from mealkit.errors import failure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mealkit.ledger.usage_summary import By, UsageSum

EXAMPLES = (
    "mealkit usage",
    "mealkit usage my-kit --since 2026-11-01 --by day,key",
    "mealkit usage postgresql://reader@db.example.org/usage --csv > usage.csv",
    "mealkit usage usage.sqlite --chart usage.svg",
)

_DAY = ["%Y-%m-%d"]


def usage(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="TARGET",
            help="The name of a kit or a deployment, a file or folder of usage, or the address of a"
            " PostgreSQL database.",
            show_default="all kits that ran here",
            autocompletion=running_names,
        ),
    ] = [],  # noqa: B006  typer copies it
    *,
    since: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, metavar="DAY", help="The first day, in UTC."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=_DAY, metavar="DAY", help="The last day, in UTC."),
    ] = None,
    by: Annotated[
        str,
        typer.Option(metavar="NAMES", help="What to sum up by: kit, key and day, with commas."),
    ] = "kit,key,day",
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    chart: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a chart of the days, as SVG; its bars are divided by the first of --by that"
            " is not day.",
            show_default="none",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Report what kits have used: requests, tokens, money and time.

    Kits with prices or budgets (ops.cost) record it.
    """
    from mealkit.ledger.usage_summary import By, sum_usage
    from mealkit.pipeline.operate.reading_usage import Days, read_usage, usage_csv

    groups = _groups(by)
    days = Days(since.date() if since else None, until.date() if until else None)
    rows = read_usage(targets, days, session_of(context).home)
    sums = sum_usage(rows, groups)
    if chart:
        from mealkit.files.whole import write_whole
        from mealkit.reports.usage_chart import usage_chart

        part = next((item for item in groups if item is not By.DAY), By.KEY)
        write_whole(chart, usage_chart(rows, part))
        say(f"the chart is in {chart}")
    if as_json:
        print_json([_as_json(item, groups) for item in sums])
    elif as_csv:
        for line in usage_csv(sums, groups).splitlines():
            print_line(line)
    else:
        _print_table(sums, groups)


def _groups(text: str) -> "tuple[By, ...]":
    from mealkit.ledger.usage_summary import By

    words = [word.strip() for word in text.split(",")]
    if not set(words) <= set(By) or len(set(words)) != len(words):
        raise failure("USAGE", f"--by is {text!r}, expected some of {', '.join(By)}, with commas")
    return tuple(By(word) for word in words)


def _as_json(item: "UsageSum", groups: "Sequence[By]") -> dict[str, object]:
    return {
        **dict(zip(map(str, groups), item.parts, strict=True)),
        "currency": item.currency,
        "requests": item.used.requests,
        "inputTokens": item.used.input_tokens,
        "outputTokens": item.used.output_tokens,
        "cost": item.cost,
        "engineSeconds": item.engine_seconds,
    }


def _print_table(sums: "Sequence[UsageSum]", groups: "Sequence[By]") -> None:
    heads = (*groups, "requests", "input tokens", "output tokens", "engine s", "cost")
    rows = [
        (
            *item.parts,
            *(str(item.used.requests), str(item.used.input_tokens), str(item.used.output_tokens)),
            *(item.engine_seconds, f"{item.cost} {item.currency}"),
        )
        for item in sums
    ]
    numbers = frozenset(range(len(groups), len(heads)))
    for line in table(heads, rows, numbers):
        print_line(line)

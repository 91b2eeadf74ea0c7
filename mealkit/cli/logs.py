"""mealkit logs: print the log of a kit."""

import sys
from typing import Annotated

import typer

from mealkit.cli.completing import running_names
from mealkit.cli.options import session_of
from mealkit.cli.output import print_line

EXAMPLES = ("mealkit logs my-kit", "mealkit logs my-kit --follow", "mealkit logs my-kit --tail 20")


def logs(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="The name that mealkit ps shows, or a deployment's.", autocompletion=running_names
        ),
    ],
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Follow the log until the kit ends.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="LINES", help="Print only this many last lines.")
    ] = None,
) -> None:
    """Print the log of a running or ended kit."""
    from mealkit.pipeline.machine.clients import read_logs

    for line in read_logs(name, follow=follow, tail=tail, home=session_of(context).home):
        print_line(line)
        if follow:
            sys.stdout.flush()

"""mealkit logs: what a kit wrote."""

import sys
from typing import Annotated

import typer

from mealkit.cli.options import session_of
from mealkit.cli.output import print_line

EXAMPLES = ("mealkit logs my-kit", "mealkit logs my-kit --follow", "mealkit logs my-kit --tail 20")


def logs(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The name that mealkit ps shows.")],
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Wait for more, until the kit ends.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option(min=0, metavar="LINES", help="Only the last lines.")
    ] = None,
) -> None:
    """Print the log of a kit, running or ended."""
    from mealkit.pipeline.machine.clients import read_logs

    for line in read_logs(name, follow=follow, tail=tail, home=session_of(context).home):
        print_line(line)
        if follow:
            sys.stdout.flush()

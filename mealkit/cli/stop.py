"""mealkit stop: stop a kit after its running requests have ended."""

from typing import Annotated

import typer

from mealkit.cli.completing import running_names
from mealkit.cli.options import session_of
from mealkit.cli.output import print_line

EXAMPLES = ("mealkit stop my-kit", "mealkit stop my-kit --timeout 5")


def stop(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(help="The name that mealkit ps shows.", autocompletion=running_names),
    ],
    *,
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Seconds to wait for running requests.",
            show_default="the kit's drain time",
        ),
    ] = None,
) -> None:
    """Stop a kit: let running requests finish, then remove it."""
    from mealkit.pipeline.machine.clients import stop_kit

    ended = stop_kit(name, timeout_seconds=timeout, home=session_of(context).home)
    print_line(f"{name} {ended}")

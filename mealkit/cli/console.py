"""mealkit console: watch the deployments and kits of this machine in a browser."""

from typing import Annotated

import typer

from mealkit.cli.options import session_of
from mealkit.cli.output import print_line

EXAMPLES = ("mealkit console", "mealkit console --port 9000 --allow-changes")

_PORT = 8900


def console(
    context: typer.Context,
    *,
    port: Annotated[
        int,
        typer.Option(metavar="PORT", min=0, max=65535, help="The port on loopback; 0: any."),
    ] = _PORT,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes",
            help="Also let the page roll back, repair and take down deployments, and stop kits.",
        ),
    ] = False,
) -> None:
    """Show this machine's deployments and kits as a page.

    The page is at the printed address until you press Ctrl-C, and only this machine can reach it.
    The address has a token; do not give it to others.
    """
    from mealkit.pipeline.operate.console_server import Console, serve

    serve(Console(session_of(context).home, allow_changes), port, print_line)

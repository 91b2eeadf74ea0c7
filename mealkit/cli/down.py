"""mealkit down: take a deployment down."""

from typing import Annotated

import typer

from mealkit.cli.options import session_of
from mealkit.cli.output import print_line
from mealkit.cli.up import Name, Wait

EXAMPLES = ("mealkit down search", "mealkit down search --purge")


def down(
    context: typer.Context,
    name: Name,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete the history.")] = False,
    wait: Wait = False,
) -> None:
    """Take a deployment down, after its last requests.

    Its containers and its address are removed; its history stays.
    """
    from mealkit.pipeline.operate.deployment_site import this_site
    from mealkit.pipeline.operate.upgrading import down as take_down

    session = session_of(context)
    take_down(name, this_site(session.home, session.progress()), purge=purge, wait=wait)
    print_line(f"{name} is down")

"""mealkit down: take a deployment down."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line
from mealkit.cli.up import Name, Wait

EXAMPLES = ("mealkit down search", "mealkit down search --purge")


def down(
    context: typer.Context,
    name: Name,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Also delete the history.")] = False,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Take a deployment down, after its last requests.

    Its containers and its address are removed; its history stays.
    """
    from mealkit.pipeline.operate.deployment_site import this_site
    from mealkit.pipeline.operate.upgrading import down as take_down

    session = session_of(context)
    site = this_site(session.home, session.progress(as_json=as_json))
    after = take_down(name, site, purge=purge, wait=wait)
    if as_json:
        print_json({"name": after.name, "purged": purge})
        return
    print_line(f"{name} is down")

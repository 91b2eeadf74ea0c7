"""mealkit prune: delete what no image needs."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line

EXAMPLES = ("mealkit prune", "mealkit prune --nameless", "mealkit prune --damaged")


def prune(
    context: typer.Context,
    *,
    nameless: Annotated[
        bool, typer.Option("--nameless", help="Also delete images without a name.")
    ] = False,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Also read every blob, and delete the damaged ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete files that no image in the local store needs."""
    from mealkit.pipeline.image.pruning import prune as prune_home
    from mealkit.units import show_size

    session = session_of(context)
    progress = session.progress(as_json=as_json)
    freed = prune_home(damaged=damaged, nameless=nameless, home=session.home, progress=progress)
    if as_json:
        print_json({"freed": freed})
    else:
        print_line(f"{show_size(freed)} freed")

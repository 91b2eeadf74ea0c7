"""mealkit rollback: go back to an earlier revision of a deployment."""

from typing import Annotated

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.up import Name, Wait, Why, tell_changed

EXAMPLES = ("mealkit rollback search", "mealkit rollback search 3 --why 'wrong answers'")


def rollback(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    name: Name,
    revision: Annotated[
        int | None,
        typer.Argument(
            metavar="REVISION",
            help="The number of a kept revision.",
            show_default="the one that had the traffic before",
        ),
    ] = None,
    *,
    why: Why = "",
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=1, help="Seconds to wait until it is ready."),
    ] = 600.0,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Go back to a kept revision without losing a request.

    The revision is started again, and gets the traffic when it is ready.
    """
    from mealkit.pipeline.operate.deployment_site import this_site
    from mealkit.pipeline.operate.upgrading import RollbackRequest
    from mealkit.pipeline.operate.upgrading import rollback as roll_back

    session = session_of(context)
    site = this_site(session.home, session.progress(as_json=as_json))
    changed = roll_back(RollbackRequest(name, revision, why, timeout, wait), site)
    tell_changed(changed, as_json=as_json, quiet=session.quiet)

"""mealkit dev: run a kit while it is edited."""

from typing import Annotated

import typer

from mealkit.cli.dev_display import DevDisplay
from mealkit.cli.options import HERE, AllowFolder, Client, Json, KitPath, session_of

EXAMPLES = (
    "mealkit dev",
    "mealkit dev my-kit --port 8000",
    "mealkit dev my-kit --client docker --verbose",
    "mealkit dev my-kit --json",
)


def dev(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    kit: KitPath = HERE,
    *,
    client: Client = None,
    port: Annotated[
        int | None,
        typer.Option(
            help="The port on this machine; 0 for any free port.",
            show_default="the kit's if it is free, else any free port",
        ),
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Also show frames outside the kit, and the engine's log."),
    ] = False,
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Run a kit while you edit it: each save is the next version.

    The handler and the prompts come straight from the folder, the engine and the packages from the
    lock. Exceptions are shown with the kit's own frames. Ctrl-C ends it.
    """
    from mealkit.pipeline.develop.developing import develop
    from mealkit.pipeline.develop.edited_container import DevRequest

    session = session_of(context)
    display = DevDisplay(verbose=verbose, as_json=as_json)
    request = DevRequest(kit, client, port, tuple(allow_folder))
    develop(request, session.home, session.progress(as_json=as_json), display.tell)

"""mealkit render: write a folder that plain docker build can build."""

from pathlib import Path
from typing import Annotated

import typer

from mealkit.cli.options import (
    HERE,
    AllowFolder,
    KitPath,
    Locked,
    PlainHttp,
    session_of,
    use_plain_http,
)
from mealkit.cli.output import print_line

EXAMPLES = (
    "mealkit render --output context",
    "docker build context",
    "mealkit render --output context-arm64 --architecture arm64",
)


def render(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    path: KitPath = HERE,
    *,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder to create."),
    ] = Path("context"),
    architecture: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The architecture, for a kit with several; by default this machine's.",
        ),
    ] = None,
    locked: Locked = False,
    plain_http: PlainHttp = [],  # noqa: B006
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
) -> None:
    """Write a Dockerfile and its pinned context, for docker build."""
    from mealkit.pipeline.image.building import render_kit

    session = session_of(context)
    use_plain_http(plain_http)
    folder = render_kit(
        path,
        output,
        frozen=locked,
        home=session.home,
        progress=session.progress(),
        allowed=allow_folder,
        architecture=architecture,
    )
    print_line(str(folder))

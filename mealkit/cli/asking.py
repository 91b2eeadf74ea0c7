"""Options that predict, chat and embed share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mealkit.cli.completing import kits_to_ask

if TYPE_CHECKING:
    from mealkit.pipeline.ask.asked_kit import AskRequest
    from mealkit.recipe.kit import Task

AskedTarget = Annotated[
    str,
    typer.Argument(
        metavar="KIT",
        help="A kit or deployment that runs here by its name, a kit's folder, an image, or an"
        " address: http(s)://HOST[:PORT].",
        autocompletion=kits_to_ask,
    ),
]
Client = Annotated[
    Literal["docker", "podman", "sandbox"] | None,
    typer.Option(
        help="The container client for a kit that does not run yet.",
        show_default="the first that works",
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file",
        metavar="FILE",
        help="Read the API key for a running kit from this file.",
        show_default="none",
    ),
]
StartSeconds = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="SECONDS", min=1, help="Seconds to wait until the kit is ready."
    ),
]


Embedded = Annotated[
    bool,
    typer.Option(
        "--embedded",
        help="For a kit that does not run yet: load the full image instead of mounting the"
        " weights.",
    ),
]


def ask_request(  # noqa: PLR0913  one parameter for each option
    target: str,
    client: str | None,
    api_key_file: Path | None,
    timeout: float,
    *,
    allow_folder: list[Path],
    embedded: bool,
    task: "Task | None",
) -> "AskRequest":
    """Return the request for the options."""
    from mealkit.pipeline.ask.asked_kit import AskRequest
    from mealkit.pipeline.run.run_request import RunRequest

    run = RunRequest(
        target=target,
        client=client,
        embedded=embedded,
        timeout_seconds=timeout,
        allowed=tuple(allow_folder),
    )
    return AskRequest(run, api_key_file, task)

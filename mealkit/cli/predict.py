"""mealkit predict: ask a kit one question, without a port."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.asking import AskedTarget, Client, Embedded, KeyFile, StartSeconds, ask_request
from mealkit.cli.options import AllowFolder, Json, session_of
from mealkit.cli.output import json_text, print_json, print_text, say
from mealkit.errors import failure

if TYPE_CHECKING:
    from mealkit.pipeline.ask.predicting import Prediction

EXAMPLES = (
    """mealkit predict my-kit '{"text": "salt and pepper"}'""",
    "mealkit predict my-kit -i text='salt and pepper' -i top=3",
    "mealkit predict my-kit -i image=@cat.png -o answer.png",
    'echo \'{"text": "salt"}\' | mealkit predict my-kit -',
    "mealkit predict my-reranker -i query=salt -i documents=soup -i documents=sea",
)


def predict(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: AskedTarget,
    values: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="The inputs as a JSON object; -: read it from standard input.",
            show_default="none",
        ),
    ] = None,
    *,
    given: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="NAME=VALUE",
            help="An input; the kit says its type. @FILE is the content of a file, @@ begins a"
            " text with @. Repeat a name for a list.",
            show_default="none",
        ),
    ] = [],  # noqa: B006  typer copies it
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the answer to this file: the file that it contains, or its JSON.",
            show_default="print it",
        ),
    ] = None,
    client: Client = None,
    embedded: Embedded = False,
    api_key_file: KeyFile = None,
    timeout: StartSeconds = 600.0,
    allow_folder: AllowFolder = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Ask a kit one question, and print its answer.

    A kit that runs here is asked; another one is started for the question, without a port of this
    machine, and stopped. The inputs are those of the paper's code; for a kit with another task,
    those of its request, such as query and documents.
    """
    from mealkit.pipeline.ask import predicting
    from mealkit.pipeline.ask.asked_kit import asked_kit

    session = session_of(context)
    text = predicting.standard_input() if values == "-" else values
    inputs = predicting.inputs_of(text, tuple(given))
    request = ask_request(
        target,
        client,
        api_key_file,
        timeout,
        allow_folder=allow_folder,
        embedded=embedded,
        task=None,
    )
    is_watched = sys.stdout.isatty() and output is None and not as_json
    pieces: list[Any] = []

    def on_piece(piece: Any) -> None:
        pieces.append(piece)
        _print_piece(piece)

    with asked_kit(request, session.home, session.progress(as_json=as_json)) as kit:
        answer = predicting.predict(kit, inputs, on_piece if is_watched else None)
    if output is not None:
        _write(output, answer)
    if as_json:
        print_json({**_members(answer.whole), "recipe": answer.recipe})
    elif pieces:
        print_text("\n")
    elif output is None:
        _print(answer.output)


def _members(whole: Any) -> dict[str, Any]:
    return whole if isinstance(whole, dict) else {"output": whole}


def _print_piece(piece: Any) -> None:
    print_text(piece if isinstance(piece, str) else json_text(piece) + "\n")


def _print(output: Any) -> None:
    """Print a text as it is, and everything else as JSON; a terminal gets no file in base64."""
    from mealkit.pipeline.ask.predicting import without_files

    shown = without_files(output) if sys.stdout.isatty() else output
    if isinstance(shown, str):
        print_text(shown + "\n")
    else:
        print_json(shown)


def _write(path: Path, answer: "Prediction") -> None:
    """Write the one file of an answer, or its JSON."""
    from mealkit.files.whole import write_whole
    from mealkit.pipeline.ask.predicting import files_of

    found = list(files_of(answer.output))
    if len(found) > 1:
        message = f"the answer has {len(found)} files, and -o names one"
        raise failure("USAGE", message, where=str(path), hint="use --json, which has all of them")
    data = found[0].data if found else (json_text(answer.output, indent=2) + "\n").encode()
    write_whole(path.expanduser(), data)
    say(f"{path} written ({len(data)} bytes)")

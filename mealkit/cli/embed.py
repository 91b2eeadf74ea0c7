"""mealkit embed: print the vectors of texts."""

import json
from typing import Annotated

import typer

from mealkit.cli.asking import AskedTarget, Client, Embedded, KeyFile, StartSeconds, ask_request
from mealkit.cli.options import AllowFolder, Json, session_of
from mealkit.cli.output import print_json, print_line, print_text, table
from mealkit.errors import failure

EXAMPLES = (
    "mealkit embed my-embedder 'salt and pepper'",
    "mealkit embed my-embedder --similarity 'a soup' 'a broth' 'a ship'",
    "mealkit embed my-embedder - < lines.txt > vectors.json",
)


def embed(  # noqa: PLR0913  one parameter for each option
    context: typer.Context,
    target: AskedTarget,
    texts: Annotated[
        list[str],
        typer.Argument(metavar="TEXT...", help="The texts; -: each line of standard input is one."),
    ],
    *,
    similarity: Annotated[
        bool,
        typer.Option("--similarity", help="Print the cosine of the first text with each other."),
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The kit's prompt for the texts, such as query.",
            show_default="none",
        ),
    ] = None,
    client: Client = None,
    embedded: Embedded = False,
    api_key_file: KeyFile = None,
    timeout: StartSeconds = 600.0,
    allow_folder: AllowFolder = [],  # noqa: B006  typer copies it
    as_json: Json = False,
) -> None:
    """Print the vectors of texts.

    They are a JSON list with one vector on each line.
    """
    from mealkit.pipeline.ask.asked_kit import asked_kit
    from mealkit.pipeline.ask.embedding_texts import embed as embed_texts
    from mealkit.pipeline.ask.embedding_texts import similarities
    from mealkit.recipe.kit import Task

    session = session_of(context)
    texts = _texts(texts)
    if similarity and len(texts) < 2:
        raise failure("USAGE", "--similarity compares at least two texts", hint="add a text")
    request = ask_request(
        target,
        client,
        api_key_file,
        timeout,
        allow_folder=allow_folder,
        embedded=embedded,
        task=Task.EMBEDDINGS,
    )
    with asked_kit(request, session.home, session.progress(as_json=as_json)) as kit:
        found = embed_texts(kit, texts, prompt)
    compared = similarities(found) if similarity else None
    if as_json:
        more = {} if compared is None else {"similarity": compared}
        print_json({**found.whole, **more, "recipe": found.recipe})
    elif compared is not None:
        _print_similarities(compared[0][1:], texts[1:])
    else:
        lines = ",\n".join(json.dumps(list(vector)) for vector in found.vectors)
        print_text(f"[\n{lines}\n]\n")


def _texts(given: list[str]) -> list[str]:
    if given != ["-"]:
        return given
    from mealkit.pipeline.ask.predicting import standard_input

    lines = [line for line in standard_input().splitlines() if line.strip()]
    if not lines:
        raise failure("USAGE", "standard input has no text", where="-")
    return lines


def _print_similarities(cosines: list[float], texts: list[str]) -> None:
    if len(texts) == 1:
        print_line(f"{cosines[0]:.4f}")
        return
    rows = [(f"{value:.4f}", text) for value, text in zip(cosines, texts, strict=True)]
    for line in table(("cosine", "text"), rows, frozenset({0})):
        print_line(line)

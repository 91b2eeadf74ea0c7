"""mealkit key: create, list and remove API keys for kits that other machines can reach."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, say
from mealkit.errors import failure

EXAMPLES = (
    "mealkit key new --name team-a --file keys.txt",
    "mealkit key list --file keys.txt",
    "mealkit key remove --name team-a --file keys.txt",
)

_T = TypeVar("_T")


def key(
    context: typer.Context,
    action: Annotated[Literal["new", "list", "remove"], typer.Argument(help="The action.")],
    *,
    name: Annotated[
        str | None,
        typer.Option(help="The key's name, which logs show.", show_default="new: default"),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The file for the hashes of the keys.", show_default="none"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create, list or remove API keys for callers.

    The file contains hashes and names, never a key. new prints the key once, to stdout. Without
    --file, the line for a keys file, a Secret or MEALKIT_KEYS goes to stderr. Running kits that use
    the file notice a change within two seconds.
    """
    match action:
        case "new":
            _new(name or "default", file, session_of(context).quiet, as_json)
        case "list":
            _list(_required(file, "--file"), as_json)
        case "remove":
            from mealkit.pipeline.run.api_keys import remove_key

            remove_key(_required(name, "--name"), _required(file, "--file"))


def _new(name: str, file: Path | None, quiet: bool, as_json: bool) -> None:  # noqa: FBT001
    from mealkit.pipeline.run.api_keys import add_key

    made = add_key(name, file)
    if as_json:
        print_json(asdict(made))
        return
    if file is None:
        say(made.line)
    elif not quiet:
        say(f"its hash is in {file}; the key is not shown again")
    print_line(made.key)


def _list(file: Path, as_json: bool) -> None:  # noqa: FBT001
    from mealkit.pipeline.run.api_keys import list_keys

    kept = list_keys(file)
    if as_json:
        print_json([{"name": item.name, "sha256": item.sha256.hex()} for item in kept])
        return
    for item in kept:
        print_line(f"{item.name}  sha256:{item.sha256.hex()}")


def _required(value: _T | None, option: str) -> _T:
    if value is None:
        raise failure("USAGE", f"{option} is missing", hint=f"add {option}")
    return value

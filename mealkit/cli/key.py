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
    "mealkit key new --name team-b --scope /v1/embeddings --rate 60/minute",
    "mealkit key list --file keys.txt",
    "mealkit key remove --name team-a --file keys.txt",
)

_T = TypeVar("_T")


def key(  # noqa: PLR0913  one parameter for each option
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
    expires: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="new: when the key expires, such as 2027-01-01T00:00:00Z.",
            show_default="never",
        ),
    ] = None,
    scope: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="new: an endpoint that the key is for, such as /v1/embeddings; may be repeated.",
            show_default="all",
        ),
    ] = [],  # noqa: B006  typer copies it
    rate: Annotated[
        str | None,
        typer.Option(
            metavar="N/UNIT",
            help="new: how many requests the key may send in each process of the kit, such as"
            " 60/minute.",
            show_default="no limit",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="AMOUNT/PERIOD",
            help="new: what the key may spend, such as 10.00/month or 500000tokens/day.",
            show_default="no limit",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create, list or remove API keys for callers.

    The file contains hashes and names, never a key. new prints the key once, to stdout. Without
    --file, the line for a keys file, a Secret or MEALKIT_KEYS goes to stderr. Running kits that use
    the file notice a change within two seconds.
    """
    stated = {
        "expires": expires,
        "scopes": ",".join(scope) or None,
        "rate": rate,
        "budget": budget,
    }
    words = [f"{field}={value}" for field, value in stated.items() if value is not None]
    if words and action != "new":
        raise failure("USAGE", "--expires, --scope, --rate and --budget are for new keys")
    match action:
        case "new":
            _new(name or "default", words, file, session_of(context).quiet, as_json)
        case "list":
            _list(_required(file, "--file", action), as_json)
        case "remove":
            from mealkit.pipeline.run.api_keys import remove_key

            wanted = _required(name, "--name", action)
            remove_key(wanted, _required(file, "--file", action))


def _new(
    name: str,
    words: list[str],
    file: Path | None,
    quiet: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
) -> None:
    from mealkit.pipeline.run.api_keys import add_key
    from mealkit.runtime.key_rules import key_rules

    def fault(message: str) -> Exception:
        return failure("USAGE", message)

    made = add_key(name, file, key_rules(words, fault))
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
        print_json(
            [{"name": item.name, "sha256": item.sha256.hex(), **item.rules.fields} for item in kept]
        )
        return
    for item in kept:
        fields = [f"{name}={value}" for name, value in item.rules.fields.items()]
        print_line("  ".join([item.name, f"sha256:{item.sha256.hex()}", *fields]))


def _required(value: _T | None, option: str, action: str) -> _T:
    if value is None:
        example = next(item for item in EXAMPLES if item.startswith(f"mealkit key {action}"))
        raise failure("USAGE", f"{option} is missing", hint=example)
    return value

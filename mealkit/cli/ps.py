"""mealkit ps: list the kits that run here."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

if TYPE_CHECKING:
    from mealkit.containers.container import Container

EXAMPLES = ("mealkit ps", "mealkit ps --all", "mealkit ps --json")

_SHOWN_DIGITS = 12


def ps(
    context: typer.Context,
    *,
    everyone: Annotated[
        bool,
        typer.Option(
            "--all", "-a", help="Also list kits that other homes started in the same engines."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """List the kits that this home started on this machine."""
    from mealkit.pipeline.machine.clients import kits_of_home, running_kits

    home = session_of(context).home
    own = kits_of_home(home)
    found = running_kits(home) if everyone else own
    names = {item.id for item in own}
    if as_json:
        print_json(
            [
                {
                    "name": item.name,
                    "kit": item.kit,
                    "client": item.client,
                    "url": item.url,
                    "recipe": item.recipe,
                    "salt": item.salt,
                    "startedSeconds": item.started_seconds,
                    "ended": str(item.exit) if item.exit else None,
                    "thisHome": item.id in names,
                }
                for item in found
            ]
        )
        return
    heads: tuple[str, ...] = ("name", "kit", "recipe", "salt", "client", "url", "state")
    rows: list[tuple[str, ...]] = [_row(item) for item in found]
    if everyone:
        heads = (*heads, "home")
        homes = ("this" if item.id in names else "another" for item in found)
        rows = [(*row, home_name) for row, home_name in zip(rows, homes, strict=True)]
    for line in table(heads, rows, frozenset()):
        print_line(line)


def _row(item: "Container") -> tuple[str, ...]:
    state = str(item.exit or _age(item.started_seconds))
    recipe, salt = _short(item.recipe), _short(item.salt)
    return item.name, item.kit, recipe, salt, item.client, item.url, state


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_SHOWN_DIGITS] or "-"


def _age(started_seconds: float) -> str:
    minutes, seconds = divmod(max(0, int(time.time() - started_seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"up {hours}:{minutes:02}:{seconds:02}"

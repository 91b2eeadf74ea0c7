"""mealkit ps: list the kits that run here."""

import time

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table

EXAMPLES = ("mealkit ps", "mealkit ps --json")


def ps(context: typer.Context, *, as_json: Json = False) -> None:
    """List the kits that mealkit started on this machine."""
    from mealkit.pipeline.machine.clients import running_kits

    found = running_kits(session_of(context).home)
    if as_json:
        print_json(
            [
                {
                    "name": item.name,
                    "kit": item.kit,
                    "client": item.client,
                    "url": item.url,
                    "recipe": item.recipe,
                    "startedSeconds": item.started_seconds,
                    "ended": str(item.exit) if item.exit else None,
                }
                for item in found
            ]
        )
        return
    rows = [
        (item.name, item.kit, item.client, item.url, str(item.exit or _age(item.started_seconds)))
        for item in found
    ]
    for line in table(("name", "kit", "client", "url", "state"), rows, frozenset()):
        print_line(line)


def _age(started_seconds: float) -> str:
    minutes, seconds = divmod(max(0, int(time.time() - started_seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"up {hours}:{minutes:02}:{seconds:02}"

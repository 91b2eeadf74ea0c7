"""mealkit prune: delete what no image needs, here and in the container engines."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, say

if TYPE_CHECKING:
    from mealkit.pipeline.disk.prune_plan import PrunePlan

EXAMPLES = (
    "mealkit prune",
    "mealkit prune --dry-run",
    "mealkit prune --yes",
    "mealkit prune --damaged",
)


def prune(
    context: typer.Context,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would go, and delete nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Delete everything that can go without asking.")
    ] = False,
    nameless: Annotated[
        bool,
        typer.Option("--nameless", help="The same as --yes."),
    ] = False,
    damaged: Annotated[
        bool, typer.Option("--damaged", help="Also read every blob, and delete the damaged ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Delete files that no image in the local store needs.

    Also copies of such images that mealkit loaded into Docker or podman; and, after a question or
    with --yes, images without a name and kits that have ended. What other programs made stays.
    """
    from mealkit.pipeline.disk.prune_plan import carry_out, plan_pruning
    from mealkit.units import show_size

    session = session_of(context)
    agreed = yes or nameless
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    plan = plan_pruning(session.home, nameless=agreed or dry_run or asks)
    if dry_run:
        _print_plan(plan, as_json=as_json)
        return
    if asks and not agreed and (plan.nameless or plan.ended):
        for line in _lines(plan):
            say(line)
        if not typer.confirm("Delete all of this?", err=True):
            raise typer.Exit(1)
    progress = session.progress(as_json=as_json)
    freed = carry_out(plan, damaged=damaged, home=session.home, progress=progress)
    if as_json:
        print_json({**_form(plan), "freed": freed})
        return
    for copy in plan.copies:
        say(f"removed from {copy.client.name}: {', '.join(copy.image.names) or copy.image.id}")
    print_line(f"{show_size(freed)} freed")


def _print_plan(plan: "PrunePlan", *, as_json: bool) -> None:
    if as_json:
        print_json(_form(plan))
        return
    for line in _lines(plan) or ["nothing can go"]:
        print_line(line)


def _lines(plan: "PrunePlan") -> list[str]:
    from mealkit.units import show_size

    lines = [
        f"image without a name     {item.digest}  {show_size(item.stored_bytes)}, partly shared"
        for item in plan.nameless
    ]
    lines += [
        f"ended kit with its log   {item.name} in {item.client}, which"
        f" {item.exit or 'a killed command has left'}"
        for item in plan.ended
    ]
    lines += [
        f"copy of a removed image  {', '.join(copy.image.names) or copy.image.id} in"
        f" {copy.client.name}  {show_size(copy.image.size_bytes)}, partly shared"
        for copy in plan.copies
    ]
    if plan.file_bytes:
        lines.append(f"files of no other image  {show_size(plan.file_bytes)}")
    return lines


def _form(plan: "PrunePlan") -> dict[str, Any]:
    return {
        "nameless": [
            {"digest": str(item.digest), "size": item.stored_bytes} for item in plan.nameless
        ],
        "ended": [{"name": item.name, "client": item.client} for item in plan.ended],
        "copies": [
            {
                "client": copy.client.name,
                "id": copy.image.id,
                "names": list(copy.image.names),
                "size": copy.image.size_bytes,
            }
            for copy in plan.copies
        ],
        "files": plan.file_bytes,
    }

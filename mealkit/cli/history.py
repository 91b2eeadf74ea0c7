"""mealkit history: list who changed a deployment, when, why, and which gate stopped a change."""

import time
from typing import TYPE_CHECKING

import typer

from mealkit.cli.options import Json, session_of
from mealkit.cli.output import print_json, print_line, table
from mealkit.cli.up import Name

if TYPE_CHECKING:
    from mealkit.deploy.deployment_history import Event

EXAMPLES = ("mealkit history search", "mealkit history search --json")


def history(context: typer.Context, name: Name, *, as_json: Json = False) -> None:
    """List a deployment's changes: when, who, what and why.

    If a gate stopped a change, it has the measured and the required value. Times are in this
    machine's time zone.
    """
    from mealkit.pipeline.deployment_files import DeploymentFiles

    files = DeploymentFiles(session_of(context).home, name)
    files.required()
    events = files.events()
    if as_json:
        print_json([item.model_dump(mode="json") for item in events])
        return
    rows = [
        (
            moment(item.seconds),
            item.user,
            str(item.kind),
            str(item.revision or ""),
            item.kit,
            _why(item),
        )
        for item in events
    ]
    heads = ("when", "who", "what", "revision", "kit", "why")
    for line in table(heads, rows, frozenset({3})):
        print_line(line)


def moment(seconds: float) -> str:
    """Return a time in this machine's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _why(event: "Event") -> str:
    gate = event.gate
    if gate is None:
        return event.reason
    sides = (("measured", gate.measured), ("required", gate.required), ("owner", gate.owner))
    numbers = "; ".join(f"{name} {value}" for name, value in sides if value)
    return f"gate {gate.gate}: {gate.reason}" + (f" ({numbers})" if numbers else "")

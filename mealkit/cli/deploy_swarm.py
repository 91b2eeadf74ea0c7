"""mealkit deploy apply, status, diff and rollback with --target swarm: call the pipeline, print."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mealkit.cli.options import Session
from mealkit.cli.output import print_json, print_line, say, table
from mealkit.errors import DeploymentError, failure

if TYPE_CHECKING:
    from mealkit.deploy.workload import Workload
    from mealkit.pipeline.cluster.swarm_apply import Applied
    from mealkit.pipeline.cluster.swarm_status import Status


def refuse(options: Mapping[str, object]) -> None:
    """Raise for an option that Swarm has no use for, such as one of Kubernetes.

    Raises:
        KitError: ``USAGE``.
    """
    for name, value in options.items():
        if value:
            raise failure("USAGE", f"{name} is not an option of the target swarm")


def apply(
    workload: "Workload",
    keys: Path | None,
    why: str,
    session: Session,
    *,
    check: bool,
    as_json: bool,
) -> None:
    """Start or upgrade a deployment, and print where it answers."""
    from mealkit.pipeline.cluster.swarm_apply import apply_to_swarm, keys_in
    from mealkit.pipeline.cluster.swarm_history import Wish
    from mealkit.pipeline.policy.admitting import require_accepted

    progress = session.progress(as_json=as_json)
    require_accepted(str(workload.image), session.home, progress)
    applied = apply_to_swarm(workload, keys_in(keys), Wish.here(why), progress, check=check)
    _tell(applied, as_json=as_json)


def rollback(name: str, revision: int | None, why: str, session: Session, *, as_json: bool) -> None:
    """Return to a revision, and print where the deployment answers."""
    from mealkit.pipeline.cluster.swarm_apply import roll_back_swarm
    from mealkit.pipeline.cluster.swarm_history import Wish

    progress = session.progress(as_json=as_json)
    _tell(roll_back_swarm(name, revision, Wish.here(why), progress), as_json=as_json)


def status(name: str, *, as_json: bool) -> None:
    """Print what runs of a deployment; the exit code is 16 if a replica is missing."""
    from mealkit.pipeline.cluster.swarm_status import swarm_status

    found = swarm_status(name)
    if as_json:
        print_json(found.as_json())
    else:
        for line in _status_lines(found):
            print_line(line)
    if found.running < found.wanted:
        raise typer.Exit(DeploymentError.exit_code)


def diff(workload: "Workload", keys: Path | None, *, as_json: bool) -> None:
    """Print what apply would change; the exit code is 16 if something would."""
    from mealkit.pipeline.cluster.swarm_apply import keys_in
    from mealkit.pipeline.cluster.swarm_status import swarm_difference

    lines = swarm_difference(workload, keys_in(keys), datetime.now(UTC))
    if as_json:
        print_json({"changes": lines})
    else:
        for line in lines or ["nothing would change"]:
            print_line(line)
    if lines:
        raise typer.Exit(DeploymentError.exit_code)


def _tell(applied: "Applied", *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(applied))
        return
    if applied.change == "unchanged":
        say(f"revision {applied.revision.number} answers already; nothing was changed")
    else:
        say(f"{applied.change}: revision {applied.revision.number}, {applied.revision.kit}")
    inside = f"http://{applied.name}:{applied.port} in the network {applied.network}"
    print_line(f"{applied.published}; {inside}" if applied.published else inside)


def _status_lines(status: "Status") -> Sequence[str]:
    lines = [
        f"{status.name}: revision {status.revision}",
        f"answering    {status.running} of {status.wanted} replicas",
        f"published    {status.published or 'no; callers use the network ' + status.network}",
    ]
    if status.update:
        lines.append(f"last update  {status.update.replace('_', ' ')}")
    if status.waiting:
        lines.append(f"waiting      {status.waiting.message} (owner {status.waiting.owner.value})")
    rows = [
        (
            status.nodes.get(task.node, ""),
            str(task.revision),
            task.state,
            task.error or task.message,
        )
        for task in status.tasks
    ]
    lines += ["", *table(("node", "revision", "state", ""), rows, frozenset({1}))]
    past = [
        (
            str(item.revision.number),
            item.state,
            item.revision.kit,
            item.revision.when,
            item.revision.who,
            item.outcome.failure if item.outcome and not item.outcome.passed else item.revision.why,
        )
        for item in status.past
    ]
    heads = ("revision", "state", "kit", "when", "who", "why")
    return [*lines, "", *table(heads, past, frozenset({0}))]

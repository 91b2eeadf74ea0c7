"""What mealkit deploy does and prints if the target is Kubernetes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mealkit.cli.options import Session
from mealkit.cli.output import print_json, print_line, table
from mealkit.errors import DeploymentError

if TYPE_CHECKING:
    from mealkit.clusters.kubernetes_api import KubernetesApi
    from mealkit.deploy.workload import Workload
    from mealkit.pipeline.cluster.kubernetes_diffing import ObjectChange
    from mealkit.pipeline.cluster.kubernetes_status import ClusterStatus

_SHORT = 19
"""``sha256:`` and twelve digits."""


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """The options that choose a cluster of Kubernetes."""

    kubeconfig: Path | None
    context: str | None
    namespace: str | None

    def api(self, stated: str | None = None) -> "KubernetesApi":
        """Return the cluster's API; ``stated`` is the namespace of deploy.yaml."""
        from mealkit.clusters.kubernetes_connection import ClusterAccess, connect

        namespace = self.namespace or stated
        return connect(ClusterAccess(self.kubeconfig, self.context, namespace))


@dataclass(frozen=True, slots=True)
class RolloutOptions:
    """The options of a rollout."""

    why: str
    wait: bool
    timeout: float | None
    check: bool = True
    force: bool = False


def apply(
    workload: "Workload",
    where: ClusterOptions,
    how: RolloutOptions,
    session: Session,
    *,
    as_json: bool,
) -> None:
    """Roll a kit out."""
    from mealkit.pipeline.cluster.kubernetes_applying import ApplyOptions
    from mealkit.pipeline.cluster.kubernetes_deploying import deploy_workload

    options = ApplyOptions(how.why, force=how.force, wait=how.wait, seconds=how.timeout)
    api = where.api(workload.file.namespace)
    progress = session.progress(as_json=as_json)
    applied = deploy_workload(workload, api, options, session.home, progress, check=how.check)
    if as_json:
        print_json(applied.as_json())
        return
    what = f"revision {applied.revision}" if how.wait else "applied, not waited for"
    print_line(f"{applied.namespace}/{applied.name}  {what}  {applied.image}")


def status(name: str, where: ClusterOptions, compare: "Workload | None", *, as_json: bool) -> None:
    """Show a deployment; exit with 16 if a pod does not run what it is compared with."""
    from mealkit.pipeline.cluster.kubernetes_status import Expected, cluster_status

    expected = None
    if compare is not None:
        expected = Expected(str(compare.lock.recipe), str(compare.image.digest))
    found = cluster_status(where.api(), name, expected)
    _print_status(found, as_json=as_json)
    if found.is_as_expected is False:
        raise typer.Exit(DeploymentError.exit_code)


def rollback(
    name: str,
    revision: int | None,
    where: ClusterOptions,
    how: RolloutOptions,
    session: Session,
    *,
    as_json: bool,
) -> None:
    """Return to an earlier revision."""
    from mealkit.pipeline.cluster.kubernetes_applying import ApplyOptions
    from mealkit.pipeline.cluster.kubernetes_returning import roll_back

    options = ApplyOptions(how.why, wait=how.wait, seconds=how.timeout)
    progress = session.progress(as_json=as_json)
    _print_status(roll_back(where.api(), name, revision, options, progress), as_json=as_json)


def diff(
    workload: "Workload", where: ClusterOptions, session: Session, *, force: bool, as_json: bool
) -> None:
    """Show what an apply would change; exit with 16 if it would change something."""
    from mealkit.deploy.kubernetes import kubernetes_objects
    from mealkit.pipeline.cluster.kubernetes_diffing import cluster_changes

    progress = session.progress(as_json=as_json)
    api, objects = where.api(workload.file.namespace), kubernetes_objects(workload)
    found = cluster_changes(objects, api, progress, force=force)
    if as_json:
        print_json({"changes": [item.as_json() for item in found]})
    else:
        for line in _change_lines(found):
            print_line(line)
    if found:
        raise typer.Exit(DeploymentError.exit_code)


def _print_status(found: "ClusterStatus", *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    for line in _status_lines(found):
        print_line(line)


def _status_lines(found: "ClusterStatus") -> Iterator[str]:
    """Yield the status of a deployment on Kubernetes."""
    state = found.state
    done = "complete" if state.complete else "rolling out"
    yield f"{found.namespace}/{found.name}  revision {found.revision}  {done}"
    yield f"  ready   {state.available} of {state.wanted}"
    yield f"  recipe  {found.recipe or 'unknown'}"
    yield f"  image   {found.image or 'unknown'}"
    if found.is_as_expected is not None:
        yield f"  equals  {'the kit' if found.is_as_expected else 'not the kit'}"
    if state.hindrance:
        yield f"  problem {state.hindrance.code}: {state.hindrance.sentence}"
        yield f"          owner: {state.hindrance.owner.value}; {state.hindrance.hint}"
    yield ""
    rows = [
        (
            pod.name,
            pod.node,
            "ready" if pod.ready else pod.phase,
            str(pod.restarts),
            pod.image[:_SHORT],
            f"{pod.problem.code} ({pod.problem.owner.value})" if pod.problem else "",
        )
        for pod in found.pods
    ]
    heads = ("pod", "node", "state", "restarts", "image", "problem")
    yield from table(heads, rows, frozenset({3}))
    yield ""
    kept = [
        (
            f"{item.number}{' *' if item.is_current else ''}",
            item.image[:_SHORT],
            item.recipe[:_SHORT],
            item.created,
            item.claims,
            f"{item.cause}; failed: {item.failed}" if item.failed else item.cause,
        )
        for item in found.revisions
    ]
    yield from table(("revision", "image", "recipe", "made", "gate", "by"), kept, frozenset())
    for event in found.events:
        yield f"event: {event}"


def _change_lines(changes: "Sequence[ObjectChange]") -> Iterator[str]:
    """Yield what an apply would change, as unified diffs."""
    if not changes:
        yield "the cluster is up to date"
    for item in changes:
        yield from item.lines

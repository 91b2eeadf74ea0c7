"""The lines that mealkit deploy prints about a cluster: status, and what would change."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mealkit.cli.output import table

if TYPE_CHECKING:
    from mealkit.pipeline.cluster.kubernetes_diffing import ObjectChange
    from mealkit.pipeline.cluster.kubernetes_status import ClusterStatus

_SHORT = 19
"""``sha256:`` and twelve digits."""


def status_lines(found: "ClusterStatus") -> Iterator[str]:
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


def change_lines(changes: "Sequence[ObjectChange]") -> Iterator[str]:
    """Yield what an apply would change, as unified diffs."""
    if not changes:
        yield "the cluster is up to date"
    for item in changes:
        yield from item.lines

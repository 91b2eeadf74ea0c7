"""What a person should know before a deployment: what it loses, and a memory that is too small."""

from collections.abc import Iterator

from mealkit.deploy.workload import DATABASE_VARIABLE, Workload
from mealkit.units import show_size

_KEPT = "state: {in: pvc}"


def workload_remarks(workload: Workload, *, is_kept_by_default: bool) -> Iterator[str]:
    """Yield what is too small, is lost with a container, or is not common to all of them.

    A container's folder outlives it by default where it is a volume of one machine, unless it is
    in memory; elsewhere only that of ``state: {in: pvc}`` does.
    """
    place = workload.file.state.place
    is_kept = place != "memory" if is_kept_by_default else place == "pvc"
    needed = workload.lock.requirements.memory_bytes
    if workload.memory_bytes < needed:
        stated = workload.file.resources.memory
        yield f"resources.memory is {stated}; the kit is estimated to need {show_size(needed)}"
    yield from _of_budgets(workload, is_kept=is_kept)
    if workload.ops.audit is not None and not is_kept:
        yield f"the audit log is lost with its container: {_KEPT}"
        if workload.file.audit_key is None:
            yield "so is the key of the audit log: name a secret in audit_key"


def _of_budgets(workload: Workload, *, is_kept: bool) -> Iterator[str]:
    file, cost = workload.file, workload.ops.cost
    if cost is None:
        return
    if cost.shared:
        names = {*file.secrets, *file.environment}
        if not any(name.startswith(DATABASE_VARIABLE) for name in names):
            yield (
                f"replicas share budgets in a database: name it in secrets, as {DATABASE_VARIABLE}"
            )
        if not workload.has_shared_budgets:
            yield (
                "the image has no client of the database: ops.cost.shared: true in kit.yaml, then"
                " mealkit lock and mealkit build"
            )
        return
    if cost.budgets and file.replicas > 1:
        yield f"each of {file.replicas} replicas has the budgets for itself: ops.cost.shared"
    if cost.budgets and not is_kept:
        yield f"what is spent is lost with its container: {_KEPT}, or ops.cost.shared"

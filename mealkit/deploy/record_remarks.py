"""What a person should know about budgets and audit logs before a deployment loses them."""

from collections.abc import Iterator

from mealkit.deploy.workload import DATABASE_VARIABLE, Workload

_KEPT = "state: {in: pvc}"


def record_remarks(workload: Workload, *, by_default: bool) -> Iterator[str]:
    """Yield what is lost with a container, or is not common to all of them.

    ``by_default``: whether the folder of a container outlives it unless it is in memory, as the
    volumes of one machine do; else only that of ``state: {in: pvc}`` does.
    """
    file, cost = workload.file, workload.ops.cost
    is_kept = file.state.place != "memory" if by_default else file.state.place == "pvc"
    has_database = any(
        name.startswith(DATABASE_VARIABLE) for name in {*file.secrets, *file.environment}
    )
    if cost is not None and cost.shared and not has_database:
        yield f"replicas share budgets in a database: name it in secrets, as {DATABASE_VARIABLE}"
    if cost is not None and cost.shared and not workload.has_shared_budgets:
        yield (
            "the image has no client of the database: ops.cost.shared: true in kit.yaml, then"
            " mealkit lock and mealkit build"
        )
    if cost is not None and cost.budgets and not cost.shared:
        if file.replicas > 1:
            yield f"each of {file.replicas} replicas has the budgets for itself: ops.cost.shared"
        if not is_kept:
            yield f"what is spent is lost with its container: {_KEPT}, or ops.cost.shared"
    if workload.ops.audit is not None and not is_kept:
        yield f"the audit log is lost with its container: {_KEPT}"
    if workload.ops.audit is not None and not is_kept and file.audit_key is None:
        yield "so is the key of the audit log: name a secret in audit_key"

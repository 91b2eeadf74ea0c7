"""Starts what watches the exchanges of a kit, if the kit asks for it; nothing else is imported."""

from mealkit.errors import Problem
from mealkit.recipe.operations import Audit, Cost, effective_ops
from mealkit.runtime.gateway.service import Service

# A module for each is imported late: most kits have none of them.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mealkit.runtime.watch.audit_watcher import AuditWatcher
    from mealkit.runtime.watch.budget_watcher import BudgetWatcher

_LAST_BOOKINGS_SECONDS = 3.0


class Watching:
    """The watchers of one kit, from the start of its server to the end."""

    def __init__(self, service: Service) -> None:
        """Start the watchers, in the order in which they see an exchange.

        Raises:
            AuditError: the audit log cannot be opened.
            ContainerError: ``CONFIG_INVALID``, budgets are stated that cannot be counted.
        """
        self._service = service
        ops = effective_ops(service.lock.ops, service.settings.ops)
        # First, because the others record what a request costs.
        self._budgets = self._begin_budgets(ops.cost)
        self._audit: AuditWatcher | None = None
        if ops.audit:
            self._audit = self._open_audit_log(ops.audit)

    def close(self) -> None:
        """Write what the watchers have not written yet."""
        if self._budgets:
            self._budgets.bookkeeper.close(_LAST_BOOKINGS_SECONDS)
        if self._audit:
            self._audit.close()

    def _begin_budgets(self, cost: Cost | None) -> "BudgetWatcher | None":
        service, keys = self._service, self._service.keys
        if cost is None:
            keys.require_prices(has_cost=False, has_prices=False)
            return None
        from mealkit.runtime.watch.budget_watcher import budget_watcher  # noqa: PLC0415

        budgets = budget_watcher(
            cost,
            service.lock,
            service.settings,
            lambda: keys.budgets,
            service.metrics,
            service.journal,
        )
        keys.require_prices(has_cost=True, has_prices=budgets.tariff.has_prices)
        service.watchers = (budgets, *service.watchers)
        budgets.bookkeeper.start()
        return budgets

    def _open_audit_log(self, stated: Audit) -> "AuditWatcher":
        from mealkit.runtime.watch.audit_watcher import open_audit_log  # noqa: PLC0415

        service = self._service
        lost = service.metrics.watch_audit()
        audit = open_audit_log(
            service.lock, service.settings, stated, service.journal, lost, self._block
        )
        service.watchers = (*service.watchers, audit)
        service.arrivals = (*service.arrivals, audit.arrived)
        return audit

    def _block(self, fault: Problem | None) -> None:
        self._service.obstacle = fault

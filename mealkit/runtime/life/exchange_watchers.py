"""Starts what watches the exchanges of a kit, if the kit asks for it; nothing else is imported."""

import os
from typing import TYPE_CHECKING

from mealkit.errors import Problem, failure
from mealkit.ledger.prices import Tariff
from mealkit.recipe.kit import Task
from mealkit.recipe.operations import Audit, Cost, effective_ops
from mealkit.runtime.gateway.service import Service

# A module of each is imported late: most kits have none of them.
if TYPE_CHECKING:
    from mealkit.runtime.watch.audit_export import AuditExport
    from mealkit.runtime.watch.audit_watcher import AuditWatcher
    from mealkit.runtime.watch.budget_watcher import BudgetWatcher
    from mealkit.runtime.watch.traces import TraceWatcher

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
        has_telemetry = _has_telemetry(service, is_in_image=ops.telemetry)
        currency = _currency_of(ops.cost)
        service.watchers = (service.metrics.watch_exchanges(service.keys.names, currency),)
        self._export: AuditExport | None = None
        # First, because the others record what a request costs.
        self._budgets = self._begin_budgets(ops.cost)
        self._audit = self._open_audit_log(ops.audit, has_telemetry) if ops.audit else None
        self._traces = self._start_traces() if has_telemetry else None

    def close(self) -> None:
        """Write what the watchers have not written yet."""
        if self._budgets:
            self._budgets.bookkeeper.close(_LAST_BOOKINGS_SECONDS)
        for item in (self._audit, self._export, self._traces):
            if item:
                item.close()

    def _begin_budgets(self, cost: Cost | None) -> "BudgetWatcher | None":
        service, keys = self._service, self._service.keys
        if cost is None:
            keys.require_countable(money=False, tokens=False)
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
        has_tokens = service.lock.model.task is not Task.PREDICTION
        if cost.of_tokens and not has_tokens:
            message = f"ops.cost.{cost.of_tokens[0]}: the kit's code counts no tokens"
            hint = "state gpu_hour or cpu_hour, and budgets of money"
            raise failure("CONFIG_INVALID", message, where="ops.cost", hint=hint)
        keys.require_countable(money=budgets.tariff.has_prices, tokens=has_tokens)
        service.watchers = (budgets, *service.watchers)
        budgets.bookkeeper.start()
        return budgets

    def _open_audit_log(self, stated: Audit, has_telemetry: bool) -> "AuditWatcher":  # noqa: FBT001
        from mealkit.runtime.watch.audit_watcher import (  # noqa: PLC0415
            AuditOutlets,
            open_audit_log,
        )

        service = self._service
        lock, settings = service.lock, service.settings
        if has_telemetry:
            from mealkit.runtime.watch.audit_export import AuditExport  # noqa: PLC0415
            from mealkit.runtime.watch.telemetry import exports  # noqa: PLC0415

            self._export = AuditExport(lock, settings) if exports("LOGS", os.environ) else None
        export = self._export.line if self._export else None
        outlets = AuditOutlets(service.metrics.watch_audit(), self._block, export)
        audit = open_audit_log(lock, settings, stated, service.journal, outlets)
        service.watchers = (*service.watchers, audit)
        service.arrivals = (*service.arrivals, audit.arrived)
        return audit

    def _start_traces(self) -> "TraceWatcher | None":
        from mealkit.runtime.watch.telemetry import exports  # noqa: PLC0415

        if not exports("TRACES", os.environ):
            return None
        from mealkit.runtime.watch.traces import TraceWatcher  # noqa: PLC0415

        service = self._service
        traces = TraceWatcher(service.lock, service.settings)
        service.watchers = (*service.watchers, traces)
        service.arrivals = (*service.arrivals, traces.arrived)
        return traces

    def _block(self, fault: Problem | None) -> None:
        self._service.obstacle = fault


def _currency_of(cost: Cost | None) -> str | None:
    """Return the currency of a kit whose requests cost something."""
    return cost.currency if cost and Tariff.of(cost).has_prices else None


def _has_telemetry(service: Service, *, is_in_image: bool) -> bool:
    """Return whether OpenTelemetry is wanted and there; warn if it is wanted and is not there."""
    wanted = [name for name in os.environ if name.startswith("OTEL_EXPORTER_OTLP_")]
    if not any(name.endswith("_ENDPOINT") and os.environ[name] for name in wanted):
        return False
    if is_in_image:
        try:
            from mealkit.runtime.watch.telemetry import tell_once  # noqa: PLC0415
        except ImportError:
            is_in_image = False
        else:
            tell_once(service.journal)
    if not is_in_image:
        hint = "set ops.telemetry: true in kit.yaml, lock and build; or unset the variable"
        message = "the image does not contain OpenTelemetry"
        service.journal.warning("telemetry", variables=sorted(wanted), message=message, hint=hint)
    return is_in_image

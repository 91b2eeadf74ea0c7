"""The metrics of budgets: what is spent, and the limits. A key is shown by its name only."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mealkit.ledger.budget_rules import Balance

_LABELS = ("budget", "unit", "key")


class BudgetGauges(Collector):
    """The budgets as they were last seen in the database."""

    def __init__(self, balances: Callable[[], Sequence[Balance]], currency: str) -> None:
        self._balances = balances
        self._currency = currency

    def collect(self) -> Iterable[Metric]:
        """Yield what is spent and reserved, and the limit, in units of the currency or tokens."""
        spent = GaugeMetricFamily(
            "mealkit_budget_spent",
            "What is spent and reserved of a budget in its period",
            labels=_LABELS,
        )
        most = GaugeMetricFamily("mealkit_budget_limit", "The limit of a budget", labels=_LABELS)
        for balance in self._balances():
            for limit in balance.limits(self._currency):
                labels = (balance.rule.name, limit.unit, balance.owner)
                spent.add_metric(labels, float(limit.shown(limit.used)))
                most.add_metric(labels, float(limit.shown(limit.most)))
        yield spent
        yield most

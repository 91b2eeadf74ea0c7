"""The metrics of a kit's data contract: which rules requests violate, and how the data drifts.

The names of inputs and rules are the contract's, so callers cannot add series.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mealkit.recipe.data_contract import DataContract


class DataMetrics:
    """The metrics of one contract."""

    def __init__(self, contract: DataContract, registry: CollectorRegistry) -> None:
        """Begin at zero, so that an alert sees the first violation."""
        self._registry = registry
        self._violations = Counter(
            "mealkit_data_violations",
            "Requests that violate a rule of the data contract, refused or not",
            ["field", "rule"],
            registry=registry,
        )
        for name, rules in contract.inputs.items():
            for rule in rules.active:
                self._violations.labels(name, rule)

    def violated(self, field: str, rule: str) -> None:
        """Count a request that violates a rule for an input."""
        self._violations.labels(field, rule).inc()

    def watch_drift(self, drift: Callable[[], Mapping[str, float]]) -> None:
        """Use ``drift`` to get how far each input is from the profile, when metrics are read."""
        self._registry.register(_Drift(drift))


class _Drift(Collector):
    """The drift of each input; one with few values has none."""

    def __init__(self, drift: Callable[[], Mapping[str, float]]) -> None:
        self._drift = drift

    def collect(self) -> Iterable[Metric]:
        """Return the gauge of each input."""
        family = GaugeMetricFamily(
            "mealkit_data_drift",
            "Population stability index of the last requests and the data that the kit is for",
            labels=["field"],
        )
        for name, value in self._drift().items():
            family.add_metric([name], value)
        return [family]

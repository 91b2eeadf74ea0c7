"""Metrics of each exchange: the tokens and the cost of each key, and the seconds in the queue.

A key's name is a label: the platform team wrote it into the keys file. Callers without a key count
together.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram

from mealkit.runtime.exchanges import Exchange

NO_KEY = "-"
"""The label of callers without a key; no key has this name."""

_QUEUE_BUCKETS = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class ExchangeMetrics:
    """Counts what exchanges use; an ``ExchangeWatcher``."""

    def __init__(
        self, keys: Iterable[str], currency: str | None, registry: CollectorRegistry
    ) -> None:
        """Begin at 0 for each of ``keys``, or for callers without one if there are none.

        ``currency`` is that of the prices; None if requests cost nothing.
        """
        self._tokens = Counter(
            "mealkit_key_tokens",
            "Tokens that the engine counted, by the name of the caller's key",
            ["key", "type"],
            registry=registry,
        )
        self._queued = Histogram(
            "mealkit_queue_seconds",
            "Seconds that requests waited for the engine",
            buckets=_QUEUE_BUCKETS,
            registry=registry,
        )
        self._currency = currency or ""
        self._cost = currency and Counter(
            "mealkit_key_cost",
            "What was booked for requests, by the name of the caller's key",
            ["key", "currency"],
            registry=registry,
        )
        for key in tuple(keys) or (NO_KEY,):
            for kind in ("input", "output"):
                self._tokens.labels(key, kind)
            if self._cost:
                self._cost.labels(key, self._currency)

    async def admit(self, exchange: Exchange) -> None:
        """Admit every request."""

    def ended(self, exchange: Exchange) -> None:
        """Count an exchange."""
        if exchange.queued_seconds is not None and exchange.admitted_seconds is not None:
            self._queued.observe(exchange.admitted_seconds - exchange.queued_seconds)
        key = exchange.caller or NO_KEY
        if self._cost and exchange.cost:
            self._cost.labels(key, self._currency).inc(float(exchange.cost))
        if usage := exchange.usage:
            self._tokens.labels(key, "input").inc(usage.prompt_tokens)
            self._tokens.labels(key, "output").inc(usage.completion_tokens)

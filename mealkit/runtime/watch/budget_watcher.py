"""Watches exchanges for their cost: admits them by their budgets, and books what they used.

Before a request reaches the engine, its estimate is reserved: for prices of tokens, the most tokens
that it can have; for prices of hours, the mean share of the last requests. Afterwards it is
replaced by what was used. A stream that was cut, or has failed, has no count of the engine: its
prompt is estimated from its bytes, its answer from the events that were sent.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from math import ceil

from mealkit.errors import failure
from mealkit.ledger.bookkeeper import Admitted, Bookkeeper, NotBookedError
from mealkit.ledger.budget_rules import Balance, BudgetRule
from mealkit.ledger.prices import NANO, Amount, Tariff, nano_of, shown_money
from mealkit.ledger.usage_book import Used
from mealkit.ledger.usage_database import UsageDatabase
from mealkit.recipe.lock import Lock
from mealkit.recipe.operations import Cost, Period
from mealkit.runtime.api.endpoint import Asked, Counting
from mealkit.runtime.exchanges import Exchange, Outcome
from mealkit.runtime.key_rules import KeyBudget
from mealkit.runtime.settings import Settings
from mealkit.runtime.watch.budget_metrics import BudgetGauges
from mealkit.runtime.watch.journal import Journal
from mealkit.runtime.watch.metrics import Metrics

# Before the first answer, a request is taken to need a second of the engine.
_FIRST_SHARE = NANO
# Each request moves the mean by this part of its difference: about the last twenty count.
_MEAN_OF = 20
# About as many bytes of text are a token.
_BYTES_OF_A_TOKEN = 4
_SHOWN_BUDGETS = 8
_WARN_AT_OWN = 0.8


class BudgetWatcher:
    """The budgets and the usage of one kit."""

    def __init__(
        self,
        cost: Cost,
        own_budgets: Callable[[], Mapping[str, KeyBudget]],
        bookkeeper: Bookkeeper,
        context: int,
    ) -> None:
        """Watch for ``cost``; ``context`` is the most tokens of a prompt, 0 if it is not known.

        ``own_budgets`` returns the budgets that keys have for themselves, by the key's name.
        """
        self.tariff = Tariff.of(cost)
        self.bookkeeper = bookkeeper
        self.rules = tuple(BudgetRule.of(budget) for budget in cost.budgets)
        self._stated_own = own_budgets
        self._context = context
        self._mean_share = _FIRST_SHARE
        self._own: Mapping[str, BudgetRule] = {}
        self._own_of: object = None
        self._admitted: dict[int, Admitted] = {}

    async def admit(self, exchange: Exchange) -> None:
        """Reserve what a request may use.

        Raises:
            RequestError: ``BUDGET_EXCEEDED``, a budget does not cover it; ``BUDGET_UNAVAILABLE``,
                the budgets cannot be read or written.
        """
        rules = self._rules_of(exchange.caller)
        if not rules or exchange.asked is None:
            return
        estimate = self._estimate(exchange, exchange.asked)
        try:
            admitted = await self.bookkeeper.admit(exchange.caller, estimate, rules)
        except NotBookedError as error:
            raise failure("BUDGET_UNAVAILABLE", f"no budget can be asked: {error}") from error
        verdict = admitted.verdict
        exchange.headers += _headers(verdict.balances, self.tariff.currency)
        if verdict.refusing:
            left = verdict.refusing.span.end_unix_seconds - exchange.began_unix_seconds
            exchange.headers.append((b"retry-after", b"%d" % max(1, ceil(left))))
            message = _refusal(verdict.refusing, estimate, self.tariff.currency)
            raise failure("BUDGET_EXCEEDED", message)
        self._admitted[id(exchange)] = admitted

    def ended(self, exchange: Exchange) -> None:
        """Book what a request used."""
        admitted = self._admitted.pop(id(exchange), None)
        if exchange.endpoint is None or (admitted is None and exchange.reached_seconds is None):
            return
        used = self._used(exchange)
        if self.tariff.has_prices and used.requests:
            exchange.cost = shown_money(used.nano)
        if admitted:
            self.bookkeeper.book(admitted, used)
        elif used.requests:
            self.bookkeeper.book_unreserved(exchange.caller, used)

    def _rules_of(self, caller: str) -> tuple[BudgetRule, ...]:
        own = self._own_budgets().get(caller)
        return (*self.rules, own) if own else self.rules

    def _own_budgets(self) -> Mapping[str, BudgetRule]:
        """Return the budgets of keys; they change when the file of keys does."""
        stated = self._stated_own()
        if stated is not self._own_of:
            self._own_of = stated
            self._own = {
                name: BudgetRule(
                    name=f"key:{name}",
                    is_per_key=True,
                    period=Period(budget.period),
                    limit_nano=nano_of(budget.money) if budget.money else None,
                    limit_tokens=budget.tokens,
                    warn_at=_WARN_AT_OWN,
                    is_soft=False,
                )
                for name, budget in stated.items()
            }
        return self._own

    def _estimate(self, exchange: Exchange, asked: Asked) -> Amount:
        prompt = answer = 0
        if exchange.endpoint and exchange.endpoint.counting is Counting.USAGE:
            # A token is at least one byte.
            prompt, answer = len(asked.body), asked.answer_tokens
            if answer and self._context:
                prompt = min(prompt, self._context)
        nano = self.tariff.price(prompt, answer, self._mean_share)
        return Amount(nano, prompt + answer)

    def _used(self, exchange: Exchange) -> Used:
        """Return what a request used; nothing if it never reached the engine."""
        if exchange.reached_seconds is None:
            return Used()
        share = exchange.share_nanoseconds
        self._mean_share += (share - self._mean_share) // _MEAN_OF
        prompt, answer = _tokens(exchange)
        return Used(1, prompt, answer, self.tariff.price(prompt, answer, share), share)


def budget_watcher(
    cost: Cost,
    lock: Lock,
    settings: Settings,
    own_budgets: Callable[[], Mapping[str, KeyBudget]],
    metrics: Metrics,
    journal: Journal,
) -> BudgetWatcher:
    """Return what watches a kit's budgets, with its metrics.

    Raises:
        ContainerError: ``CONFIG_INVALID``, the image lacks what the database needs.
    """

    def warn(message: str) -> None:
        journal.warning("usage", message=message)

    opened = _database(cost, settings)
    bookkeeper = Bookkeeper(opened, lock.about.name, cost.currency, warn)
    context = lock.hyperparameters.get("max_length")
    watcher = BudgetWatcher(
        cost, own_budgets, bookkeeper, context if isinstance(context, int) else 0
    )
    bookkeeper.rules = tuple((rule, "") for rule in watcher.rules if not rule.is_per_key)
    metrics.register(BudgetGauges(bookkeeper.balances, cost.currency))
    return watcher


def _database(cost: Cost, settings: Settings) -> Callable[[], UsageDatabase]:
    """Return what connects to the database; the clients are only in the images that need them."""
    if settings.usage_database:
        try:
            from mealkit.ledger.usage_postgresql import PostgresqlUsage  # noqa: PLC0415
        except ImportError as error:
            message = "MEALKIT_USAGE_DATABASE is set, and the image has no client of PostgreSQL"
            hint = "ops.cost.shared: true in kit.yaml, then: mealkit lock; mealkit build"
            raise failure("CONFIG_INVALID", message, hint=hint) from error
        return lambda: PostgresqlUsage(settings.usage_database)
    if cost.shared:
        message = "ops.cost.shared is true, and MEALKIT_USAGE_DATABASE does not name a database"
        hint = "MEALKIT_USAGE_DATABASE=postgresql://..., or MEALKIT_USAGE_DATABASE_FILE"
        raise failure("CONFIG_INVALID", message, where="MEALKIT_USAGE_DATABASE", hint=hint)
    try:
        from mealkit.ledger.usage_sqlite import USAGE_NAME, SqliteUsage  # noqa: PLC0415
    except ImportError as error:
        message = "the Python of the kit's base has no sqlite3, which counts the usage"
        hint = "choose a base that has it, such as debian; or ops.cost.shared: true in kit.yaml"
        raise failure("CONFIG_INVALID", message, hint=hint) from error
    return lambda: SqliteUsage(settings.records / USAGE_NAME)


def _tokens(exchange: Exchange) -> tuple[int, int]:
    """Return the tokens of a prompt and its answer; a failure has none before its first event."""
    if exchange.usage is not None:
        return exchange.usage.prompt_tokens, exchange.usage.completion_tokens
    counts = exchange.endpoint and exchange.endpoint.counting is Counting.USAGE
    was_cut = exchange.outcome is Outcome.CUT or exchange.streamed_events
    if not was_cut or not counts or exchange.asked is None:
        return 0, 0
    return -(-len(exchange.asked.body) // _BYTES_OF_A_TOKEN), exchange.streamed_events


def _headers(balances: Sequence[Balance], currency: str) -> list[tuple[bytes, bytes]]:
    """Return what is left, as a list of RFC 9651: the name of each budget, with parameters."""
    shown = balances
    if len(shown) > _SHOWN_BUDGETS:
        shown = sorted(balances, key=lambda item: -item.used_part())[:_SHOWN_BUDGETS]
    items = [
        f'"{balance.rule.name}";left="{limit.shown(limit.left)}";limit="{limit.shown(limit.most)}"'
        f';unit="{limit.unit}";until={balance.span.end_unix_seconds}'
        for balance in shown
        for limit in balance.limits(currency)
    ]
    headers = [(b"x-mealkit-budget", ", ".join(items).encode())]
    warned = [
        f'"{balance.rule.name}";used={min(part, 999.0):.3f}'
        for balance in shown
        if (part := balance.used_part()) >= balance.rule.warn_at
    ]
    if warned:
        headers.append((b"x-mealkit-budget-warning", ", ".join(warned).encode()))
    return headers


def _refusal(balance: Balance, estimate: Amount, currency: str) -> str:
    end = datetime.fromtimestamp(balance.span.end_unix_seconds, UTC)
    rule = balance.rule
    whose = f" of the key {balance.owner}" if rule.is_per_key and balance.owner else ""
    spent = ", ".join(
        f"{limit.shown(limit.used)} of {limit.shown(limit.most)} {limit.unit}"
        for limit in balance.limits(currency)
    )
    needs = [f"{shown_money(estimate.nano)} {currency}"] if rule.limit_nano is not None else []
    needs += [f"{estimate.tokens} tokens"] if rule.limit_tokens is not None else []
    return (
        f"the budget {rule.name}{whose} has spent or reserved {spent}, and the request may need"
        f" {' and '.join(needs)}; it begins again at {end:%Y-%m-%dT%H:%M:%SZ}"
    )

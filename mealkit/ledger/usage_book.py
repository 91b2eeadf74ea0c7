"""Admits and books requests in one transaction for each batch, in whichever database.

A request is admitted if all its budgets cover its estimate; the reservation is stored with it. To
book it, its reservation is replaced by what it used: without one nothing is booked, because it was
booked before. So no order of kills and restarts books a request twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from mealkit.ledger.budget_rules import Balance, BudgetRule, first_refusing
from mealkit.ledger.periods import Span, span_of
from mealkit.ledger.prices import Amount
from mealkit.ledger.usage_database import DatabaseError, UsageDatabase
from mealkit.recipe.operations import Period

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that is to be admitted."""

    number: int
    """Its number in this process."""
    key: str
    estimate: Amount
    rules: tuple[BudgetRule, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request is admitted, with its budgets as they are afterwards."""

    process: str
    hour: int
    balances: tuple[Balance, ...]
    refusing: Balance | None = None
    """The budget that refuses it."""


@dataclass(frozen=True, slots=True)
class Used:
    """What requests used."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nano: int = 0
    nanoseconds: int = 0

    def plus(self, other: "Used") -> "Used":
        """Return the sum of both."""
        return Used(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.nano + other.nano,
            self.nanoseconds + other.nanoseconds,
        )

    @property
    def amount(self) -> Amount:
        """The money and the tokens that budgets count."""
        return Amount(self.nano, self.input_tokens + self.output_tokens)


@dataclass(frozen=True, slots=True)
class Booking:
    """A request that has ended; without a verdict nothing was reserved for it."""

    number: int
    key: str
    estimate: Amount
    used: Used
    verdict: Verdict | None


@dataclass(slots=True)
class _Changes:
    """What a batch changes in the tables."""

    balances: dict[int, list[int]] = field(default_factory=dict)
    """By row: money, tokens, reserved money and reserved tokens to add."""
    usage: dict[tuple[int, str], Used] = field(default_factory=dict)
    """By hour and key."""

    def add(self, row: int, values: Sequence[int]) -> None:
        known = self.balances.setdefault(row, [0, 0, 0, 0])
        for place, value in enumerate(values):
            known[place] += value

    def spend(self, rows: Iterable[int], estimate: Amount, real: Amount) -> None:
        for row in rows:
            self.add(row, (real.nano, real.tokens, -estimate.nano, -estimate.tokens))

    def use(self, hour: int, key: str, used: Used) -> None:
        if used != _NOTHING:
            self.usage[hour, key] = self.usage.get((hour, key), _NOTHING).plus(used)


_NOTHING = Used()
_SUMS = (
    "SELECT CAST(COALESCE(SUM(nano), 0) AS BIGINT),"
    " CAST(COALESCE(SUM(input_tokens + output_tokens), 0) AS BIGINT)"
    " FROM mealkit_usage WHERE kit = ? AND currency = ? AND hour >= ? AND hour < ?"
)
_SUMS_OF_KEY = f"{_SUMS} AND key_name = ?"


class UsageBook:
    """The usage and the budgets of one kit."""

    def __init__(self, database: UsageDatabase, kit: str, currency: str) -> None:
        """Use a database, whose tables exist, from one thread."""
        self._database = database
        self._kit, self._currency = kit, currency
        # The rows of balances, by budget, period, owner and start.
        self._ids: dict[tuple[str, Period, str, int], int] = {}
        self._spans: dict[Period, Span] = {}

    def work(self, wishes: Sequence[Wish], bookings: Sequence[Booking]) -> list[Verdict]:
        """Book requests that have ended, then decide about new ones; all in one transaction.

        Raises:
            DatabaseError: the database cannot be used; nothing has changed.
        """
        database = self._database
        with self._transaction():
            now = database.now()
            hour = int(now) // _HOUR * _HOUR
            asked = [(wish, self._balances_of(wish, now)) for wish in wishes]
            known = {balance.id: balance for _, balances in asked for balance in balances}
            booked = {row for item in bookings if item.verdict for row in _rows(item.verdict)}
            self._lock(sorted(known.keys() | booked), known)
            changes = _Changes()
            self._book(bookings, hour, changes, known)
            verdicts = [self._decide(wish, balances, hour, known) for wish, balances in asked]
            self._reserve(wishes, verdicts, changes)
            self._write(changes)
        return verdicts

    def settle_dead(self) -> int:
        """Book the requests of processes that have died by their estimates; return their number.

        Raises:
            DatabaseError: the database cannot be used.
        """
        return sum(self._settle(process) for process in self._database.dead())

    def read_balances(self, rules: Sequence[tuple[BudgetRule, str]]) -> list[Balance]:
        """Return budgets as they are now, for rules and owners.

        Raises:
            DatabaseError: the database cannot be used.
        """
        with self._transaction():
            now = self._database.now()
            found = [self._balance(rule, owner, now) for rule, owner in rules]
            for start in range(0, len(found), _MOST_ROWS):
                part = {balance.id: balance for balance in found[start : start + _MOST_ROWS]}
                self._lock(sorted(part), part, lock="")
        return found

    def _settle(self, process: str) -> int:
        database = self._database
        with self._transaction():
            if not database.bury(process):
                return 0
            found = database.rows(
                "SELECT number, balances FROM mealkit_reservation WHERE process = ?", (process,)
            )
            self._lock(sorted({row for _, rows in found for row in _ids_of(rows)}), {})
            left = database.rows(
                "DELETE FROM mealkit_reservation WHERE process = ?"
                " RETURNING hour, kit, key_name, currency, nano, tokens, balances",
                (process,),
            )
            changes = _Changes()
            # Whether they would have been tokens of the prompt or the answer is not known.
            used = sorted((*row[:4], 1, row[5], 0, row[4], 0) for row in left)
            for *_, nano, tokens, rows in left:
                changes.spend(_ids_of(rows), Amount(nano, tokens), Amount(nano, tokens))
            self._write(changes)
            self._add_usage(used)
        return len(left)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            with self._database.transaction():
                yield
        except BaseException:
            # Rows that were new in it do not exist.
            self._ids.clear()
            raise

    def _balances_of(self, wish: Wish, now: float) -> list[Balance]:
        return [
            self._balance(rule, wish.key if rule.is_per_key else "", now) for rule in wish.rules
        ]

    def _balance(self, rule: BudgetRule, owner: str, now: float) -> Balance:
        span = self._spans.get(rule.period)
        if span is None or not span.start_unix_seconds <= now < span.end_unix_seconds:
            span = self._spans[rule.period] = span_of(rule.period, now)
        name = (rule.name, rule.period, owner, span.start_unix_seconds)
        row = self._ids.get(name)
        if row is None:
            # A new period: rows of past ones are not needed again.
            self._ids = {key: item for key, item in self._ids.items() if self._is_now(key, now)}
            row = self._ids[name] = self._row(rule, owner, span)
        return Balance(rule, owner, span, row)

    def _is_now(self, name: tuple[str, Period, str, int], now: float) -> bool:
        return span_of(name[1], now).start_unix_seconds == name[3]

    def _row(self, rule: BudgetRule, owner: str, span: Span) -> int:
        """Return the row of a balance; a new one begins with the usage of its period."""
        start, end = span.start_unix_seconds, span.end_unix_seconds
        name = (self._kit, rule.name, owner, rule.period.value, start, self._currency)
        select = (
            "SELECT id FROM mealkit_balance WHERE kit = ? AND budget = ? AND owner = ?"
            " AND period = ? AND start = ? AND currency = ?"
        )
        if not (found := self._database.rows(select, name)):
            used = (self._kit, self._currency, start, end, *((owner,) if rule.is_per_key else ()))
            sums = _SUMS_OF_KEY if rule.is_per_key else _SUMS
            ((nano, tokens),) = self._database.rows(sums, used)
            insert = (
                "INSERT INTO mealkit_balance (kit, budget, owner, period, start, currency,"
                " nano, tokens, reserved_nano, reserved_tokens)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0) ON CONFLICT DO NOTHING"
            )
            self._database.run(insert, [(*name, nano, tokens)])
            found = self._database.rows(select, name)
        return int(found[0][0])

    def _lock(
        self, ids: Sequence[int], known: dict[int, Balance], *, lock: str | None = None
    ) -> None:
        """Lock rows of balances, in the order of all processes, and read those that are known."""
        if not ids:
            return
        marks, end = ", ".join("?" * len(ids)), self._database.lock_rows if lock is None else lock
        statement = (
            "SELECT id, nano, tokens, reserved_nano, reserved_tokens FROM mealkit_balance"  # noqa: S608  only marks
            f" WHERE id IN ({marks}) ORDER BY id {end}"
        )
        found = self._database.rows(statement, ids)
        if len(found) < len(known.keys() & set(ids)):
            raise DatabaseError("rows of budgets were deleted")
        for row, *values in found:
            if balance := known.get(row):
                balance.nano, balance.tokens = values[:2]
                balance.reserved_nano, balance.reserved_tokens = values[2:]

    def _book(
        self,
        bookings: Sequence[Booking],
        hour: int,
        changes: _Changes,
        known: dict[int, Balance],
    ) -> None:
        reserved: dict[str, dict[int, Booking]] = {}
        for item in bookings:
            if item.verdict is None:
                changes.use(hour, item.key, item.used)
            else:
                reserved.setdefault(item.verdict.process, {})[item.number] = item
        for process, items in reserved.items():
            marks = ", ".join("?" * len(items))
            statement = (
                f"DELETE FROM mealkit_reservation WHERE process = ? AND number IN ({marks})"  # noqa: S608
                " RETURNING number"
            )
            for (number,) in self._database.rows(statement, (process, *items)):
                self._book_reserved(items[number], changes, known)

    @staticmethod
    def _book_reserved(item: Booking, changes: _Changes, known: dict[int, Balance]) -> None:
        assert item.verdict is not None  # noqa: S101  it was reserved
        rows = _rows(item.verdict)
        changes.spend(rows, item.estimate, item.used.amount)
        changes.use(item.verdict.hour, item.key, item.used)
        for row in rows:
            if balance := known.get(row):
                balance.spend(item.estimate, item.used.amount)

    def _decide(
        self, wish: Wish, balances: Sequence[Balance], hour: int, known: dict[int, Balance]
    ) -> Verdict:
        # Several requests of a batch have the same balances.
        own = [known[balance.id] for balance in balances]
        refusing = first_refusing(own, wish.estimate)
        if refusing is None:
            for balance in own:
                balance.reserve(wish.estimate)
        copies = tuple(balance.copy() for balance in own)
        refused = refusing.copy() if refusing else None
        return Verdict(self._database.process, hour, copies, refused)

    def _reserve(
        self, wishes: Sequence[Wish], verdicts: Sequence[Verdict], changes: _Changes
    ) -> None:
        rows = []
        for wish, verdict in zip(wishes, verdicts, strict=True):
            if verdict.refusing is None and verdict.balances:
                estimate, ids = wish.estimate, _rows(verdict)
                for row in ids:
                    changes.add(row, (0, 0, estimate.nano, estimate.tokens))
                rows.append(
                    (
                        *(verdict.process, wish.number, verdict.hour, self._kit, wish.key),
                        *(self._currency, estimate.nano, estimate.tokens, ",".join(map(str, ids))),
                    )
                )
        if rows:
            self._database.run(
                "INSERT INTO mealkit_reservation VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows
            )

    def _write(self, changes: _Changes) -> None:
        if changes.balances:
            self._database.run(
                "UPDATE mealkit_balance SET nano = nano + ?, tokens = tokens + ?,"
                " reserved_nano = reserved_nano + ?, reserved_tokens = reserved_tokens + ?"
                " WHERE id = ?",
                [(*values, row) for row, values in sorted(changes.balances.items())],
            )
        self._add_usage(
            [
                (
                    *(hour, self._kit, key, self._currency, used.requests, used.input_tokens),
                    *(used.output_tokens, used.nano, used.nanoseconds),
                )
                for (hour, key), used in sorted(changes.usage.items())
            ]
        )

    def _add_usage(self, rows: Sequence[tuple[int | str, ...]]) -> None:
        if rows:
            self._database.run(
                "INSERT INTO mealkit_usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (hour, kit, key_name, currency) DO UPDATE SET"
                " requests = mealkit_usage.requests + excluded.requests,"
                " input_tokens = mealkit_usage.input_tokens + excluded.input_tokens,"
                " output_tokens = mealkit_usage.output_tokens + excluded.output_tokens,"
                " nano = mealkit_usage.nano + excluded.nano,"
                " nanoseconds = mealkit_usage.nanoseconds + excluded.nanoseconds",
                rows,
            )


_MOST_ROWS = 500


def _ids_of(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _rows(verdict: Verdict) -> list[int]:
    return [balance.id for balance in verdict.balances]

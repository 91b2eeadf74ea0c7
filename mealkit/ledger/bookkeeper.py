"""A thread that admits and books requests, so that the event loop never waits for a database.

It takes whatever waits as one batch. While the database cannot be used, requests are refused after
some seconds, then at once; what has ended is booked as soon as it can be used again.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from mealkit.ledger.budget_rules import Balance, BudgetRule
from mealkit.ledger.prices import Amount
from mealkit.ledger.usage_book import Booking, UsageBook, Used, Verdict, Wish
from mealkit.ledger.usage_database import DatabaseError, UsageDatabase

_BATCH = 256
PATIENCE_SECONDS = 5.0
_AGAIN_SECONDS = 0.2
# A request that ended less than this before a kill may count as one in flight.
_LINGER_SECONDS = 0.02
_BEAT_SECONDS = 5.0


class NotBookedError(Exception):
    """The database cannot be used; the message says why."""


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its verdict."""

    wish: Wish
    future: "asyncio.Future[Verdict]"


@dataclass(slots=True)
class _Batch:
    wishes: list[_Waiting] = field(default_factory=list)
    bookings: list[Booking] = field(default_factory=list)
    is_last: bool = False

    def add(self, item: "_Waiting | Booking | None") -> None:
        match item:
            case _Waiting():
                self.wishes.append(item)
            case Booking():
                self.bookings.append(item)
            case None:
                self.is_last = True

    @property
    def size(self) -> int:
        return len(self.wishes) + len(self.bookings)


class Bookkeeper:
    """The usage and the budgets of one kit, for its event loop."""

    def __init__(
        self,
        opened: Callable[[], UsageDatabase],
        kit: str,
        currency: str,
        warn: Callable[[str], None],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Prepare; ``opened`` connects to the database, ``warn`` gets what goes wrong.

        ``patience_seconds``: how long a request waits for the database.
        """
        self._patience_seconds = patience_seconds
        self._opened, self._warn = opened, warn
        self._kit, self._currency = kit, currency
        self._items: SimpleQueue[_Waiting | Booking | None] = SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="bookkeeper", daemon=True)
        self._database: UsageDatabase | None = None
        self._book: UsageBook | None = None
        self._beat_at = 0.0
        self._numbers = 0
        self._fault = ""
        self._since = 0.0
        # By name and owner.
        self._shown: dict[tuple[str, str], Balance] = {}
        # Those whose reservations were booked since they were read; the thread's own.
        self._booked: set[tuple[str, str]] = set()
        self.rules: tuple[tuple[BudgetRule, str], ...] = ()
        """The budgets that are read every few seconds, with their owners."""

    def balances(self) -> list[Balance]:
        """Return the budgets of the present periods, as they were last seen."""
        now = time.time()
        known = list(self._shown.values())
        return [balance for balance in known if balance.span.end_unix_seconds > now]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def admit(self, key: str, estimate: Amount, rules: tuple[BudgetRule, ...]) -> "Admitted":
        """Reserve an estimate in all budgets, or in none; it is on the disk afterwards.

        Raises:
            NotBookedError: the database cannot be used.
        """
        if self._fault and time.monotonic() - self._since > self._patience_seconds:
            raise NotBookedError(self._fault)
        self._numbers += 1
        wish = Wish(self._numbers, key, estimate, rules)
        waiting = _Waiting(wish, asyncio.get_running_loop().create_future())
        self._items.put(waiting)
        timer = waiting.future.get_loop().call_later(self._patience_seconds, self._give_up, waiting)
        try:
            return Admitted(wish, await waiting.future)
        except asyncio.CancelledError:
            future = waiting.future
            if not future.cancelled() and future.exception() is None:
                # The verdict was there, and the caller was cancelled before it could take it.
                self._release(wish, future.result())
            raise
        finally:
            timer.cancel()

    def book(self, admitted: "Admitted", used: Used) -> None:
        """Book what an admitted request used, in the place of its estimate."""
        wish = admitted.wish
        self._items.put(Booking(wish.number, wish.key, wish.estimate, used, admitted.verdict))

    def book_unreserved(self, key: str, used: Used) -> None:
        """Book what a request used for which no budget had to be asked."""
        self._items.put(Booking(0, key, Amount(), used, None))

    def close(self, seconds: float) -> None:
        """Book everything that waits, and end; give up after some seconds."""
        self._stop.set()
        self._items.put(None)
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _give_up(self, waiting: _Waiting) -> None:
        if not waiting.future.done():
            if not self._fault:
                # Until the next success, requests are refused at once.
                self._fault, self._since = (
                    "it does not answer",
                    time.monotonic() - self._patience_seconds,
                )
            waiting.future.set_exception(NotBookedError(self._fault))

    def _serve(self) -> None:
        last = False
        while not last:
            batch = self._next()
            last = batch.is_last
            self._work(batch)
        if self._database:
            self._database.close()

    def _next(self) -> _Batch:
        batch = _Batch()
        try:
            left = max(0.0, self._beat_at - time.monotonic())
            batch.add(self._items.get(timeout=left))
            self._fill(batch)
            if not batch.wishes and not batch.is_last:
                # No caller waits: one transaction for these and the next request is cheaper.
                batch.add(self._items.get(timeout=_LINGER_SECONDS))
                self._fill(batch)
        except Empty:
            pass
        return batch

    def _fill(self, batch: _Batch) -> None:
        with suppress(Empty):
            while not batch.is_last and batch.size < _BATCH:
                batch.add(self._items.get_nowait())

    def _work(self, batch: _Batch) -> None:
        """Work until the batch is done, however long the database cannot be used."""
        while True:
            # The callers of the others have been answered, or have disconnected.
            batch.wishes = [item for item in batch.wishes if not item.future.done()]
            try:
                verdicts = self._attempt(batch)
            except DatabaseError as error:
                self._note_fault(str(error))
                if self._stop.wait(_AGAIN_SECONDS):
                    return
            else:
                self._fault = ""
                self._booked.update(_owners(batch.bookings))
                self._answer(batch.wishes, verdicts)
                return

    def _attempt(self, batch: _Batch) -> list[Verdict]:
        if self._book is None:
            self._database = self._opened()
            self._book = UsageBook(self._database, self._kit, self._currency)
        self._keep_alive(self._book)
        if not batch.size:
            return []
        return self._book.work([item.wish for item in batch.wishes], batch.bookings)

    def _keep_alive(self, book: UsageBook) -> None:
        """Every few seconds: show that this process lives, and clear up after those that died."""
        assert self._database is not None  # noqa: S101  the book has it
        now = time.monotonic()
        if now < self._beat_at:
            return
        self._database.beat()
        if settled := book.settle_dead():
            self._warn(f"{settled} requests of a process that died were booked by their estimates")
        booked = [self._shown[name] for name in self._booked if name in self._shown]
        again = [(balance.rule, balance.owner) for balance in booked if balance.rule.is_per_key]
        for balance in book.read_balances((*self.rules, *again)):
            self._shown[balance.rule.name, balance.owner] = balance
        self._booked.clear()
        self._beat_at = now + _BEAT_SECONDS

    def _note_fault(self, fault: str) -> None:
        if not self._fault:
            self._since = time.monotonic()
            self._warn(fault)
        self._fault = fault

    def _answer(self, waiting: Sequence[_Waiting], verdicts: Sequence[Verdict]) -> None:
        if not waiting:
            return
        pairs = list(zip(waiting, verdicts, strict=True))
        try:
            waiting[0].future.get_loop().call_soon_threadsafe(self._tell, pairs)
        except RuntimeError:  # the loop has ended, so nothing reaches the engine any more
            self._stop.set()

    def _tell(self, pairs: Sequence[tuple[_Waiting, Verdict]]) -> None:
        for item, verdict in pairs:
            for balance in verdict.balances:
                self._shown[balance.rule.name, balance.owner] = balance
            if not item.future.done():
                item.future.set_result(verdict)
            else:
                # The caller has disconnected, or was refused because the database took too long.
                self._release(item.wish, verdict)

    def _release(self, wish: Wish, verdict: Verdict) -> None:
        if verdict.refusing is None:
            self.book(Admitted(wish, verdict), Used())


def _owners(bookings: Sequence[Booking]) -> Iterator[tuple[str, str]]:
    for item in bookings:
        for balance in item.verdict.balances if item.verdict else ():
            yield balance.rule.name, balance.owner


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request with its verdict."""

    wish: Wish
    verdict: Verdict

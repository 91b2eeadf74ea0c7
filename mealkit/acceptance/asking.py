"""Asks many questions at once, in a bounded number of threads, and keeps the answers in order.

The first problem of our own, and Ctrl-C, end it; a row that the kit refuses is a result. If the
kit cannot be reached any more, the test ends too: the rows left would say nothing about it.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mealkit.acceptance.answer_journal import AnswerJournal, Reply
from mealkit.acceptance.kit_client import Answer, KitClient, OnEvent, UnreachableError
from mealkit.acceptance.questions import AnswerError, Question
from mealkit.acceptance.target import Target, TestListener
from mealkit.errors import CATALOGUE, Owner, failure
from mealkit.untrusted import UntrustedError, shown

# One lost connection may be the network's; a kit that has ended refuses all of them.
_LOST_IN_A_ROW = 8
_MOST_TOKENS = 10**9


@dataclass(slots=True)
class Asking:
    """The questions of one claim, or of the cases."""

    target: Target
    timeout_seconds: float
    listener: TestListener
    on_event: OnEvent | None = None
    """For questions whose answers are streams."""

    def ask_all(
        self,
        questions: Sequence[Question],
        concurrency: int,
        journal: AnswerJournal | None = None,
    ) -> list[Reply]:
        """Return the replies in the order of the questions.

        Raises:
            AcceptanceError: ``TEST_UNREACHABLE``, several connections in a row were lost.
        """
        work = _Work(self, questions, journal)
        known = journal.replies if journal else {}
        work.replies.update({row: reply for row, reply in known.items() if row < len(questions)})
        todo = iter([row for row in range(len(questions)) if row not in work.replies])
        self.listener.answered(len(work.replies))
        _in_threads(lambda: work.run(todo), max(1, min(concurrency, len(questions))), work.stop)
        return [work.replies[row] for row in range(len(questions))]


class _Work:
    """What the threads of one asking share."""

    def __init__(
        self, asking: Asking, questions: Sequence[Question], journal: AnswerJournal | None
    ) -> None:
        self.asking, self.questions, self.journal = asking, questions, journal
        self.replies: dict[int, Reply] = {}
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._lost = 0
        self._clients: list[KitClient] = []

    def stop(self) -> None:
        """End all threads, also those that wait for an answer."""
        self.stopped.set()
        for client in self._clients:
            client.abort()

    def run(self, rows: Iterable[int]) -> None:
        """Ask until no row is left; each thread has a connection of its own."""
        asking = self.asking
        client = KitClient(asking.target, asking.timeout_seconds, self.stopped.wait)
        self._clients.append(client)
        try:
            while not self.stopped.is_set():
                with self._lock:
                    row = next(iter(rows), None)
                if row is None:
                    return
                self._keep(row, self._reply(client, self.questions[row]))
        finally:
            client.close()

    def _reply(self, client: KitClient, question: Question) -> Reply:
        reply = reply_to(client, question, self.asking.on_event)
        if reply.recipe not in {None, self.asking.target.recipe}:
            raise failure(
                "TEST_OTHER_RECIPE",
                "an answer comes from a kit with another recipe",
                where=self.asking.target.address,
                measured=shown(reply.recipe or ""),
                required=self.asking.target.recipe,
                hint="test one replica, or wait until all have the same version",
            )
        return reply

    def _keep(self, row: int, reply: Reply) -> None:
        with self._lock:
            if self.stopped.is_set():
                return
            self._lost = self._lost + 1 if reply.problem == "TEST_UNREACHABLE" else 0
            if self._lost >= _LOST_IN_A_ROW:
                message = f"the kit cannot be reached any more: {reply.message}"
                raise failure("TEST_UNREACHABLE", message, where=self.asking.target.address)
            self.replies[row] = reply
            if self.journal is not None:
                self.journal.add(row, reply)
            self.asking.listener.answered(1)


def _in_threads(work: Callable[[], None], threads: int, stop: Callable[[], None]) -> None:
    if threads == 1:
        work()
        return
    futures: list[Future[None]] = []
    with ThreadPoolExecutor(threads) as pool:
        try:
            futures.extend(pool.submit(work) for _ in range(threads))
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() for future in futures) or any(
                future.exception() for future in futures if future.done()
            ):
                stop()
        for future in done:
            future.result()


def reply_to(client: KitClient, question: Question, on_event: OnEvent | None = None) -> Reply:
    """Ask one question; whatever goes wrong at the kit is the reply."""
    try:
        answer = client.ask(question.path, question.data, on_event)
    except UnreachableError as error:
        return Reply(problem="TEST_UNREACHABLE", message=str(error), owner=Owner.PLATFORM)
    return replace(_reply_of(answer, question), recipe=answer.recipe)


def _reply_of(answer: Answer, question: Question) -> Reply:
    try:
        content = answer.json()
        if answer.status != 200:
            return _refusal(answer, content)
        value = question.read(content)
    except (UntrustedError, AnswerError) as error:
        if answer.status != 200:
            return _refusal(answer, None)
        return Reply(seconds=answer.seconds).wrong(str(error))
    return Reply(
        value,
        answer.seconds,
        first_token_seconds=answer.first_token_seconds,
        tokens=_tokens(content),
    )


def _refusal(answer: Answer, content: Any) -> Reply:
    error = content.get("error") if isinstance(content, dict) else None
    stated = error if isinstance(error, dict) else {}
    code = str(stated.get("mealkit_code") or stated.get("code") or "")
    owner = CATALOGUE[code].owner if code in CATALOGUE else Owner.PLATFORM
    with suppress(ValueError):
        owner = Owner(str(stated.get("owner")))
    # The request comes from the claim, so what is wrong with it is its author's to mend.
    owner = Owner.KIT_AUTHOR if owner is Owner.CALLER else owner
    message = str(stated.get("message") or "the answer is no problem of a kit")[:1000]
    known = code if code in CATALOGUE else f"HTTP {answer.status}"
    return Reply(
        seconds=answer.seconds,
        problem=known,
        message=f"HTTP {answer.status}: {message}",
        owner=owner,
    )


def _tokens(content: Any) -> int | None:
    usage = content.get("usage") if isinstance(content, dict) else None
    found = usage.get("completion_tokens") if isinstance(usage, dict) else None
    is_count = isinstance(found, int) and 0 <= found <= _MOST_TOKENS
    return found if is_count else None

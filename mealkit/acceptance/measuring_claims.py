"""Measures claims one after another: reads the data, asks, computes the metric, judges."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from mealkit.acceptance.answer_journal import AnswerJournal, Reply
from mealkit.acceptance.asking import Asking
from mealkit.acceptance.claim_results import (
    Asked,
    not_judged,
    quality_result,
    speed_result,
    unanswered,
)
from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.questions import AnswerError, Asker, Question
from mealkit.acceptance.report import ClaimResult
from mealkit.acceptance.retrieving import Corpus, CorpusError, corpus_of
from mealkit.acceptance.rows import read_rows
from mealkit.acceptance.speeds import FIRST_TOKEN, speed, streamed
from mealkit.acceptance.target import (
    DEFAULT_CONCURRENCY,
    SilentListener,
    Target,
    TestListener,
    TestOptions,
)
from mealkit.digest import digest_of_file
from mealkit.errors import failure
from mealkit.recipe.claims import AskReranking, AskRetrieval, Claimed, Metric
from mealkit.recipe.lock import Lock
from mealkit.recipe.locked_file import LockedFile

_QUIET = SilentListener()
_SEEDED = frozenset({"generation", "prediction"})


@dataclass(slots=True)
class ClaimTests:
    """The tests of a kit's claims; see `run_tests`."""

    lock: Lock
    target: Target
    datasets: Mapping[str, Path]
    options: TestOptions
    listener: TestListener
    digests: dict[str, str] = field(default_factory=dict)
    """The digest of each file of data that was read, by its path."""
    notes: list[str] = field(default_factory=list)
    """Remarks for the report."""
    _journals: list[AnswerJournal] = field(default_factory=list)

    def results(self, claims: Sequence[Claimed]) -> tuple[ClaimResult, ...]:
        """Measure and judge claims; those without data come last, because memory is a peak."""
        found: dict[str, ClaimResult] = {}
        for claim in sorted(claims, key=lambda item: item.data is None):
            result = self._result(claim)
            self.listener.judged(result)
            found[claim.name] = result
        # Only now: a test that ends before does not ask again for the claims that it has judged.
        for journal in self._journals:
            journal.delete()
        return tuple(found[claim.name] for claim in claims)

    def _result(self, claim: Claimed) -> ClaimResult:
        traits = METRICS[claim.metric]
        if claim.data is None or claim.ask is None:
            if traits.needs_data:
                return not_judged(claim, "the claim is stated without data to test it")
            return speed_result(claim, self.lock, self.target, self._of_run(claim.metric))
        files = [claim.data]
        if isinstance(claim.ask, AskRetrieval):
            files.append(claim.ask.corpus)
        paths = [self._file(name) for name in files]
        missing = [locked.path for locked, path in paths if path is None]
        if missing:
            return not_judged(claim, f"its data is not on this machine: {', '.join(missing)}")
        try:
            asked = self._asked(claim, paths)
        except CorpusError as error:
            return unanswered(claim, str(error), error.reply)
        if traits.is_speed:
            value = self._of_run(claim.metric) if not traits.needs_data else asked.speed
            return speed_result(claim, self.lock, self.target, value, asked)
        return quality_result(claim, self.lock, self.target, asked)

    def _of_run(self, metric: Metric) -> float | None:
        """Return a value of the whole run so far; None if it is not known."""
        if metric is Metric.START_SECONDS:
            return self.target.start_seconds
        memory = self.target.memory()
        return memory.host_bytes if metric is Metric.PEAK_MEMORY_BYTES else memory.gpu_bytes

    def _file(self, name: str) -> tuple[LockedFile, Path | None]:
        """Return the file of a data set that a claim names, and where it is here.

        Raises:
            AcceptanceError: ``TEST_DATA_INVALID`` or ``TEST_DATA_DIFFERS``.
        """
        dataset, _, _rest = name.partition("/")
        locked = self.lock.datasets.get(dataset)
        files = () if locked is None else locked.files
        found = [item for item in files if name in {item.path, dataset}]
        if len(found) != 1:
            message = f"the lock has {len(found)} files of data for {name}, expected 1"
            raise failure("TEST_DATA_INVALID", message, where=name)
        path = self.datasets.get(found[0].path)
        if path is not None and found[0].path not in self.digests:
            digest = digest_of_file(path)
            if digest != found[0].sha256:
                raise failure(
                    "TEST_DATA_DIFFERS",
                    "the file of data is not the pinned one",
                    where=str(path),
                    measured=digest,
                    required=str(found[0].sha256),
                )
            self.digests[found[0].path] = digest
        return found[0], path

    def _asked(self, claim: Claimed, paths: Sequence[tuple[LockedFile, Path | None]]) -> Asked:
        data, path = paths[0]
        rows, more = read_rows(path or Path(), data.path, self.options.limit)
        asker = Asker(self.lock, claim, data.path)
        questions = [asker.question(row, number) for number, row in enumerate(rows, 1)]
        seeds: Sequence[int | None] = claim.seeds or (None,)
        corpus = self._corpus(claim, paths)
        runs, seconds = [], 0.0
        self.listener.asking(claim.name, len(questions) * len(seeds))
        for seed in seeds:
            began = time.monotonic()
            replies = self._replies(claim, data.path, questions, seed)
            seconds += time.monotonic() - began
            runs.append([_ranked(claim, reply, corpus) for reply in replies])
        every = [reply for run in runs for reply in run]
        value = None
        if METRICS[claim.metric].is_speed and METRICS[claim.metric].needs_data:
            value = speed(claim.metric, every, len(every), seconds)
        return Asked(data.path, rows, questions, runs, value, is_part=more)

    def _replies(
        self, claim: Claimed, data: str, questions: Sequence[Question], seed: int | None
    ) -> list[Reply]:
        if seed is not None and claim.ask is not None and claim.ask.kind in _SEEDED:
            questions = [question.with_field("seed", seed) for question in questions]
        asking = Asking(self.target, self.options.timeout_seconds, self.listener)
        if not METRICS[claim.metric].is_speed:
            concurrency = self.options.concurrency or DEFAULT_CONCURRENCY
            with self._journal(claim, data, seed) as journal:
                if journal is not None and journal.replies:
                    known = f"{len(journal.replies)} answers are from a test that was interrupted"
                    self.notes.append(f"{claim.name}: {known}")
                replies = asking.ask_all(questions, concurrency, journal)
            if journal is not None:
                self._journals.append(journal)
                if journal.fault is not None:
                    lost = f"answers are not kept for a later test: {journal.fault}"
                    self.notes.append(f"{claim.name}: {lost}")
            return replies
        if claim.metric in FIRST_TOKEN:
            questions, asking = streamed(questions, asking)
        # The first request of a kind may be slower than all others, and is not what is claimed.
        replace(asking, listener=_QUIET).ask_all(questions[:1], 1)
        return asking.ask_all(questions, claim.concurrency or self.options.concurrency or 1)

    def _journal(
        self, claim: Claimed, data: str, seed: int | None
    ) -> AbstractContextManager[AnswerJournal | None]:
        if self.options.journals is None:
            return nullcontext()
        target = self.target
        key = {
            "recipe": self.target.recipe,
            "claim": claim.model_dump(mode="json"),
            "data": self.digests.get(data),
            "seed": seed,
            "kit": target.image if target.is_started_here else target.address,
        }
        return AnswerJournal(self.options.journals, key)

    def _corpus(
        self, claim: Claimed, paths: Sequence[tuple[LockedFile, Path | None]]
    ) -> Corpus | None:
        if not isinstance(claim.ask, AskRetrieval):
            return None
        locked, path = paths[1]
        asking = Asking(self.target, self.options.timeout_seconds, self.listener)
        concurrency = self.options.concurrency or DEFAULT_CONCURRENCY
        rows, _ = read_rows(path or Path(), locked.path)
        return corpus_of(claim.ask, self.lock, (locked.path, rows), asking, concurrency)


def _ranked(claim: Claimed, reply: Reply, corpus: Corpus | None) -> Reply:
    """Give each document its relevance by its identifier, where a claim ranks documents."""
    if reply.problem is not None:
        return reply
    if corpus is not None:
        try:
            return replace(reply, value=corpus.relevance(reply.value))
        except AnswerError as error:
            return reply.wrong(str(error))
    if isinstance(claim.ask, AskReranking):
        return replace(reply, value={str(index): item for index, item in enumerate(reply.value)})
    return reply

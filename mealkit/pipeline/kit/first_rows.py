"""Checks before a lock is written that its claims and cases can be asked.

Compares claims with the first row of their data, so that a wrong column is found when locking. Only
data that is on this machine already is read; a test reads every row.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.questions import Asker
from mealkit.acceptance.rows import Row, column, read_rows
from mealkit.errors import AcceptanceError, Problem, failures, problem
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.accepted_requests import Gateway
from mealkit.pipeline.kit.fetching_data import fetch_datasets
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.progress import SILENT
from mealkit.recipe.claims import AskRetrieval, Claimed
from mealkit.recipe.lock import Lock
from mealkit.sources.file_cache import FileCache


def require_testable(kit: OpenedKit, lock: Lock, home: Home) -> None:
    """Check that each claim's data is one file whose first row has the columns that it names.

    The request for that row, and those of the cases, must be ones that the gateway accepts.

    Raises:
        KitError: ``KIT_INVALID``, with a problem for each claim and case that does not fit.
        SourceError, StoreError: local data cannot be read.
    """
    if not lock.claims and not lock.cases:
        return
    gateway = Gateway(lock)
    here = _files_here(kit, lock, home) if lock.claims else {}
    problems = [
        replace(found, where=kit.where(("claims", index)))
        for index, claim in enumerate(lock.claims)
        for found in _problems(claim, lock, here, gateway)
    ]
    if problems := [*problems, *gateway.case_problems(kit.where)]:
        raise failures(problems)


def _files_here(kit: OpenedKit, lock: Lock, home: Home) -> dict[str, Path]:
    cache = FileCache(home.files)
    local = [
        file
        for name, dataset in lock.datasets.items()
        if kit.parts.kit.datasets[name].source == "folder"
        for file in dataset.files
    ]
    found = fetch_datasets(kit, local, home, SILENT) if local else {}
    files = [file for dataset in lock.datasets.values() for file in dataset.files]
    paths = ((file.path, found.get(file.sha256) or cache.path(file.sha256)) for file in files)
    return {name: path for name, path in paths if path is not None}


def _problems(
    claim: Claimed, lock: Lock, here: Mapping[str, Path], gateway: Gateway
) -> Iterator[Problem]:
    named = [claim.data] if claim.data else []
    if isinstance(claim.ask, AskRetrieval):
        named.append(claim.ask.corpus)
    for number, name in enumerate(named):
        files = [file.path for file in lock.datasets[name.partition("/")[0]].files]
        own = [path for path in files if name in {path, path.partition("/")[0]}]
        if len(own) != 1:
            message = f"{name} is {len(own)} files, expected 1"
            yield _problem(claim, message, f"name one of these: {', '.join(files[:5])}")
        elif own[0] in here:
            rows = _Rows(claim, lock, own[0], here[own[0]])
            fault = rows.corpus_fault() if number else rows.fault(gateway)
            if fault:
                yield _problem(claim, *fault)


_Fault = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class _Rows:
    """A file of a claim's data, by its path in the lock and on this machine."""

    claim: Claimed
    lock: Lock
    name: str
    path: Path

    def fault(self, gateway: Gateway) -> _Fault | None:
        """Return what is wrong with the first row, and what to do about it."""
        is_speed = METRICS[self.claim.metric].is_speed
        columns = [*self.claim.slices, *([] if is_speed else [self.claim.expected])]

        def refusal(row: Row) -> _Fault | None:
            asked = Asker(self.lock, self.claim, self.name).question(row, 1)
            return gateway.refusal(asked.path, asked.body)

        return self._checked(columns, refusal)

    def corpus_fault(self) -> _Fault | None:
        """Return what is wrong with the first document."""
        ask = self.claim.ask
        columns = [ask.document, ask.document_id] if isinstance(ask, AskRetrieval) else []
        return self._checked(columns, lambda _: None)

    def _checked(
        self, columns: Sequence[str], check: Callable[[Row], _Fault | None]
    ) -> _Fault | None:
        try:
            (row, *_), _more = read_rows(self.path, self.name, 1)
            for item in columns:
                column(row, item, 1, self.name)
            found = check(row)
        except AcceptanceError as error:
            first = error.problems[0]
            if first.code == "TEST_PACKAGE_MISSING":  # the test says so
                return None
            return f"{first.message}, in {first.where}", "correct the claim, or the data"
        return found and (f"the request for its first row would be refused: {found[0]}", found[1])


def _problem(claim: Claimed, message: str, hint: str | None) -> Problem:
    return problem("KIT_INVALID", f"claims.{claim.name}: {message}", hint=hint)

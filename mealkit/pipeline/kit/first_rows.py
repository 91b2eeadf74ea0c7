"""Compares claims with the first row of their data, so that a wrong column is found when locking.

Only data that is on this machine already is read; a test reads every row.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from mealkit.acceptance.metric_table import METRICS
from mealkit.acceptance.questions import Asker
from mealkit.acceptance.rows import column, read_rows
from mealkit.errors import AcceptanceError, Problem, failures, problem
from mealkit.pipeline.home import Home
from mealkit.pipeline.kit.fetching_data import fetch_datasets
from mealkit.pipeline.kit.opened_kit import OpenedKit
from mealkit.progress import SILENT
from mealkit.recipe.claims import AskRetrieval, Claimed
from mealkit.recipe.lock import Lock
from mealkit.sources.file_cache import FileCache


def require_columns(kit: OpenedKit, lock: Lock, home: Home) -> None:
    """Check that each claim's data is one file whose first row has the columns that it names.

    Raises:
        KitError: ``KIT_INVALID``, with a problem for each claim that does not fit.
        SourceError, StoreError: local data cannot be read.
    """
    if not lock.claims:
        return
    here = _files_here(kit, lock, home)
    if problems := [found for claim in lock.claims for found in _problems(claim, lock, here)]:
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


def _problems(claim: Claimed, lock: Lock, here: Mapping[str, Path]) -> Iterator[Problem]:
    named = [claim.data] if claim.data else []
    if isinstance(claim.ask, AskRetrieval):
        named.append(claim.ask.corpus)
    for number, name in enumerate(named):
        files = [file.path for file in lock.datasets[name.partition("/")[0]].files]
        own = [path for path in files if name in {path, path.partition("/")[0]}]
        if len(own) != 1:
            message = f"{name} is {len(own)} files, expected 1"
            yield _problem(claim, message, f"name one of these: {', '.join(files[:5])}")
        elif own[0] in here and (fault := _fault(claim, lock, own[0], here, is_corpus=number == 1)):
            yield _problem(claim, *fault)


def _fault(
    claim: Claimed, lock: Lock, name: str, here: Mapping[str, Path], *, is_corpus: bool
) -> tuple[str, str | None] | None:
    """Return what is wrong with the first row of a claim's data, and what to do about it."""
    try:
        (row, *_), _more = read_rows(here[name], name, 1)
        ask = claim.ask
        if is_corpus and isinstance(ask, AskRetrieval):
            columns = [ask.document, ask.document_id]
        else:
            Asker(lock, claim, name).question(row, 1)
            columns = [*claim.slices, *([] if METRICS[claim.metric].is_speed else [claim.expected])]
        for item in columns:
            column(row, item, 1, name)
    except AcceptanceError as error:
        first = error.problems[0]
        if first.code == "TEST_PACKAGE_MISSING":  # the test says so
            return None
        return f"{first.message}, in {first.where}", "correct the claim, or the data"
    return None


def _problem(claim: Claimed, message: str, hint: str | None) -> Problem:
    where = f"claims.{claim.name}"
    return problem("KIT_INVALID", f"{where}: {message}", where=where, hint=hint)

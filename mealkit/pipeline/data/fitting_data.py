"""Compares data files with a kit's data contract and its profile: each row is one request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

from mealkit.contract.checker import Checker
from mealkit.contract.field_values import value_at
from mealkit.contract.fit_report import FileFacts, FileFault, FitReport, limits_of
from mealkit.contract.population_drift import drift_between
from mealkit.contract.profiler import LEAST_ROWS, Profiler
from mealkit.errors import failure
from mealkit.files.whole import write_whole
from mealkit.pipeline.data.checked_rows import Columns
from mealkit.pipeline.data.data_files import DataFile, data_files
from mealkit.pipeline.data.fit_counts import FitCounts
from mealkit.pipeline.data.fit_tools import FitTools, fit_tools
from mealkit.pipeline.data.reading_rows import rows_of
from mealkit.pipeline.data.stated_contract import StatedContract, contract_of
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import Here, look
from mealkit.progress import Progress
from mealkit.recipe.data_contract import DataContract, InputContract

HERE = "."
_MOST_REMEMBERED = 1_000_000
"""Rows whose hash is kept, to find repeated ones: some 100 MB."""


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What a command asks for."""

    files: tuple[Path, ...]
    kit: str
    text_input: str | None = None
    profile: Path | None = None
    """Where to write the profile of the files."""
    allowed: tuple[Path, ...] = ()


def fit_data(request: FitRequest, home: Home, progress: Progress) -> FitReport:
    """Check every row of the files.

    Raises:
        DataError: the kit has no contract, a file cannot be read, a package is missing, or there
            are too few rows for a profile.
        KitError: no kit is named, and there is none here (``KIT_NOT_FOUND``).
        MealkitError: the kit cannot be read.
    """
    started = time.monotonic()
    if request.kit == HERE and look(Path(HERE)) is Here.FOLDER:
        hint = f"name the kit last: mealkit fit {' '.join(map(str, request.files[:2]))} KIT"
        raise failure("KIT_NOT_FOUND", "no kit is named, and there is none here", hint=hint)
    stated = contract_of(request.kit, home, request.allowed, progress)
    files = data_files(request.files)
    columns = columns_of(stated.contract, request.text_input)
    run = _Run(stated, columns, fit_tools(stated, home, progress))
    for file in files:
        run.check(file, progress)
    if request.profile is not None:
        _write_profile(run.profiler, request.profile)
    return run.report(time.monotonic() - started)


def _write_profile(profiler: Profiler, path: Path) -> None:
    if profiler.rows < LEAST_ROWS:
        message = f"a profile of {profiler.rows} rows would say much about each of them"
        hint = f"name data with {LEAST_ROWS} rows or more"
        raise failure(
            "DATA_PROFILE", message, where=str(path), required=f"{LEAST_ROWS} rows", hint=hint
        )
    text = profiler.profile(is_public=True).model_dump_json(indent=2, exclude_none=True)
    write_whole(path, f"{text}\n".encode())


class _Run:
    """The rows so far, and what was found in them."""

    def __init__(self, stated: StatedContract, columns: Columns, tools: FitTools) -> None:
        self._stated, self._columns = stated, columns
        self._checker = Checker.of(stated.contract, tools)
        self.profiler = Profiler(
            stated.contract, tools.identify_language, tools.tokenizer, stated.reference
        )
        self._counts = FitCounts()
        self._seen: set[int] = set()
        self._repeated = 0

    def check(self, file: DataFile, progress: Progress) -> None:
        """Check the rows of one file."""
        task = progress.task(file.name, file.size_bytes)
        of, counts = self._columns.of, self._counts
        rows, unreadable, unseen = 0, counts.unreadable, set(of)
        for item in rows_of(file, self._columns, task.advance):
            if isinstance(item, FileFault):
                counts.add_finding(item)
                continue
            line, row = item
            values = {key: value_at(row, column) for key, column in of.items()}
            if unseen or None in values.values():
                seen = [key for key, value in values.items() if value is not None]
                unseen.difference_update(seen)
                if not seen:
                    what = f"the row has no value in {', '.join(of.values())}"
                    counts.add_finding(FileFault(file.name, line, what))
                    continue
            rows += 1
            self._check_row(file.name, line, values)
        if not rows and counts.unreadable == unreadable:
            counts.add_finding(FileFault(file.name, None, "the file has no rows"))
        counts.rows += rows
        for key in sorted(unseen) if rows else ():
            what = f"no row has a value in {of[key]}, for the input {key}"
            counts.note(FileFault(file.name, None, what))
        unreadable = counts.unreadable - unreadable
        kind = file.format.value
        counts.files.append(FileFacts(file.name, kind, file.size_bytes, rows, unreadable))
        task.done(f"{rows} rows")

    def _check_row(self, name: str, line: int, values: dict[str, Any]) -> None:
        if violations := self._checker.check(values):
            self._counts.add(name, line, violations)
        self.profiler.add(values)
        key = hash(tuple([item if type(item) is str else repr(item) for item in values.values()]))
        if key in self._seen:
            self._repeated += 1
        elif len(self._seen) < _MOST_REMEMBERED:
            self._seen.add(key)

    def report(self, seconds: float) -> FitReport:
        """Return what was found."""
        counts, reference = self._counts, self._stated.reference
        profile = self.profiler.profile(is_public=False)
        return FitReport(
            kit=self._stated.kit,
            files=tuple(counts.files),
            rows=counts.rows,
            refused=counts.refused,
            warned=counts.warned,
            unreadable=counts.unreadable,
            findings=tuple(counts.findings),
            rules=counts.rules(),
            unchecked=self._checker.unchecked,
            limits=limits_of(self._stated.contract),
            repeated=self._repeated,
            profile=profile,
            reference=reference,
            drift=drift_between(reference, profile) if reference else (),
            seconds=seconds,
        )


def columns_of(contract: DataContract, text_input: str | None) -> Columns:
    """Return which columns the contract's inputs are.

    Raises:
        DataError: the contract has no input of this name (``DATA_INPUT``).
    """
    inputs = contract.inputs
    if text_input is not None and text_input not in inputs:
        message = f"the contract has no input {text_input}"
        raise failure("DATA_INPUT", message, hint=f"its inputs are {', '.join(inputs)}")
    of = {name: rules.column or name for name, rules in inputs.items()}
    typed = frozenset(of[name] for name, rules in inputs.items() if _is_typed(rules))
    return Columns(of, typed, text_input or (next(iter(of)) if len(of) == 1 else None))


def _is_typed(rules: InputContract) -> bool:
    """Return whether an input's values are JSON in a cell of CSV, and not texts."""
    if rules.schema_ is not None:
        kinds = rules.schema_.schema_.get("type", "string")
        return "string" not in (kinds if isinstance(kinds, list) else [kinds])
    return rules.range is not None or rules.provenance is not None or rules.duplicates is not None


def files_and_kit(arguments: Sequence[str], kit: str | None) -> tuple[list[str], str]:
    """Return the files and the kit that a command line names.

    The kit is ``kit``, else the last argument if that is a kit, a lock or an image and not a data
    file, else the kit of the current folder.

    Raises:
        DataError: the only argument is a kit, or a file does not exist (``DATA_UNREADABLE``).
    """
    files = list(arguments)
    if kit is None:
        kit = files.pop() if _is_recipe(files[-1], is_only=len(files) == 1) else HERE
    if not files:
        hint = f"name the data, too: mealkit fit FILE... --kit {kit}"
        raise failure("DATA_UNREADABLE", f"{kit} is a kit, and no data file is named", hint=hint)
    for name in files:
        if not Path(name).exists():
            message = f"there is no file or folder {name}"
            hint = "if it is a kit, name it last, or with --kit"
            raise failure("DATA_UNREADABLE", message, where=name, hint=hint)
    return files, kit


def _is_recipe(text: str, *, is_only: bool) -> bool:
    path = Path(text)
    match look(path):
        case Here.KIT | Here.LAYOUT:
            return True
        case Here.FOLDER:
            return False
        case Here.FILE:
            return path.suffix in {".yaml", ".yml", ".lock"}
        case Here.NOTHING:
            return not is_only
        case other:
            assert_never(other)

"""Compares data files with a kit's data contract: each row is one request."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import assert_never

from mealkit.contract.checker import Checker
from mealkit.contract.field_values import value_at
from mealkit.contract.fit_report import FileFacts, FileFault, FitReport
from mealkit.contract.rule_forms import ToolSet
from mealkit.errors import failure
from mealkit.pipeline.data.data_files import DataFile, data_files
from mealkit.pipeline.data.fit_counts import FitCounts
from mealkit.pipeline.data.reading_rows import rows_of
from mealkit.pipeline.data.rows import Columns
from mealkit.pipeline.data.stated_contract import contract_of
from mealkit.pipeline.home import Home
from mealkit.pipeline.targets import Here, look
from mealkit.progress import Progress
from mealkit.recipe.data_contract import DataContract, InputContract


@dataclass(frozen=True, slots=True)
class FitRequest:
    """What a command asks for."""

    files: tuple[Path, ...]
    kit: str
    text_input: str | None = None
    allowed: tuple[Path, ...] = ()


def fit_data(request: FitRequest, home: Home, progress: Progress) -> FitReport:
    """Check every row of the files.

    Raises:
        DataError: the kit has no contract, a file cannot be read, or the extra is missing.
        MealkitError: the kit cannot be read.
    """
    started = time.monotonic()
    require_extra()
    stated = contract_of(request.kit, home, request.allowed, progress)
    files = data_files(request.files)
    columns = columns_of(stated.contract, request.text_input)
    checker = Checker.of(stated.contract, ToolSet())
    counts = FitCounts()
    for file in files:
        _check_file(file, columns, checker, counts, progress)
    return FitReport(
        kit=stated.kit,
        files=tuple(counts.files),
        rows=counts.rows,
        refused=counts.refused,
        warned=counts.warned,
        unreadable=counts.unreadable,
        findings=tuple(counts.findings),
        rules=counts.rules(),
        unchecked=checker.unchecked,
        seconds=time.monotonic() - started,
    )


def _check_file(
    file: DataFile, columns: Columns, checker: Checker, counts: FitCounts, progress: Progress
) -> None:
    """Check the rows of one file."""
    task = progress.task(file.name, file.size_bytes)
    name, check, of = file.name, checker.check, columns.of
    rows, unreadable, unseen = 0, counts.unreadable, set(of)
    for item in rows_of(file, columns, task.advance):
        if isinstance(item, FileFault):
            counts.add_finding(item)
            continue
        line, row = item
        values = {key: value_at(row, column) for key, column in of.items()}
        seen = [key for key, value in values.items() if value is not None]
        if not seen:
            wanted = ", ".join(of.values())
            counts.add_finding(FileFault(name, line, f"the row has no value in {wanted}"))
            continue
        rows += 1
        unseen.difference_update(seen)
        if violations := check(values):
            counts.add(name, line, violations)
    counts.rows += rows
    for key in sorted(unseen) if rows else ():
        counts.note(FileFault(name, None, f"no row has a value in {of[key]}, for the input {key}"))
    unreadable = counts.unreadable - unreadable
    counts.files.append(FileFacts(name, file.format.value, file.size_bytes, rows, unreadable))
    task.done(f"{rows} rows")


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


def require_extra() -> None:
    """Raise if the packages that read data are not installed.

    Raises:
        DataError: ``DATA_EXTRA``.
    """
    if any(find_spec(name) is None for name in ("orjson", "pyarrow")):
        raise failure("DATA_EXTRA", "the packages that read data files are not installed")


def files_and_kit(arguments: Sequence[str], kit: str | None) -> tuple[list[str], str]:
    """Return the files and the kit that a command line names.

    The kit is ``kit``, else the last argument if that is a kit, a lock or an image and not a data
    file, else the kit of the current folder.

    Raises:
        DataError: the only argument is a kit, or a file does not exist (``DATA_UNREADABLE``).
    """
    files = list(arguments)
    if kit is None:
        kit = files.pop() if _is_recipe(files[-1], is_only=len(files) == 1) else "."
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

"""A row of a data file, and what cannot be read as one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mealkit.contract.fit_report import FileFault

MAX_ROW_BYTES = 16 * 1024 * 1024
"""The longest row that is read; longer ones are findings."""

Row = tuple[int, dict[str, Any]]
"""The line (of Parquet: the row), from 1, and the values by column."""

Rows = Iterator[Row | FileFault]
"""Rows, with a finding for each one that cannot be read, in the file's order."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file are which inputs."""

    of: dict[str, str]
    """The column of each input, by the input's name."""
    as_json: frozenset[str]
    """The columns whose cells in CSV are not texts: numbers, lists and objects are JSON there."""
    text_input: str | None
    """The input that a text file is; None if that is not clear."""

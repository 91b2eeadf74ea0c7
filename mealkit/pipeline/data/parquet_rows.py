"""Reads Parquet with pyarrow, a batch of rows at a time, and only the columns of the contract.

Dates become texts in ISO 8601, without nanoseconds, and decimals numbers, as in JSON. A row group
that would need too much memory is a finding.
"""

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from mealkit.contract.fit_report import FileFault
from mealkit.pipeline.data.checked_rows import Columns, Rows

_BATCH_ROWS = 1024
_MAX_GROUP_BYTES = 8 * 1024**3
_MAX_HEADER_BYTES = 256 * 1024 * 1024
_MAX_HEADER_ITEMS = 10_000_000


def parquet_rows(name: str, path: Path, columns: Columns, advance: Callable[[int], None]) -> Rows:
    """Yield the rows of a file."""
    import pyarrow as pa
    from pyarrow import parquet

    number, size_bytes, done = 0, path.stat().st_size, 0
    try:
        with parquet.ParquetFile(
            path,
            thrift_string_size_limit=_MAX_HEADER_BYTES,
            thrift_container_size_limit=_MAX_HEADER_ITEMS,
        ) as file:
            wanted = _columns(file.schema_arrow.names, columns)
            for index in range(file.num_row_groups):
                group = file.metadata.row_group(index)
                if group.total_byte_size > _MAX_GROUP_BYTES:
                    what = f"row group {index + 1} has {group.total_byte_size} bytes"
                    yield FileFault(name, number + 1, f"{what}, more than {_MAX_GROUP_BYTES}")
                    return
                for batch in file.iter_batches(_BATCH_ROWS, [index], columns=wanted):
                    for row in _microseconds(batch).to_pylist():
                        number += 1
                        yield number, {column: plain(value) for column, value in row.items()}
                share = size_bytes * (index + 1) // file.num_row_groups
                advance(share - done)
                done = share
    except (pa.ArrowException, OSError, ValueError) as error:
        what = str(error).partition("\n")[0][:200]
        yield FileFault(name, number + 1, f"the file cannot be read further: {what}")


def plain(value: Any) -> Any:
    """Return a value of Arrow as one of JSON."""
    convert = _CONVERSIONS.get(type(value))
    return str(value) if convert is None else convert(value)


def _same(value: Any) -> Any:
    return value


def _plain_list(values: Any) -> list[Any]:
    return [plain(item) for item in values]


def _iso(value: date | time) -> str:
    return value.isoformat()


_CONVERSIONS: Mapping[type, Callable[[Any], Any]] = {
    type(None): _same,
    bool: _same,
    int: _same,
    str: _same,
    float: lambda value: value if math.isfinite(value) else None,
    list: _plain_list,
    tuple: _plain_list,  # an entry of a map
    dict: lambda value: {str(name): plain(item) for name, item in value.items()},
    date: _iso,
    datetime: _iso,
    time: _iso,
    timedelta: timedelta.total_seconds,
    Decimal: float,
    bytes: lambda value: value.decode("utf-8", "replace"),
}


def _microseconds(batch: Any) -> Any:
    """Return a batch without nanoseconds in its dates: Python's have microseconds at most."""
    import pyarrow as pa

    kinds = [
        pa.timestamp("us", field.type.tz)
        if pa.types.is_timestamp(field.type) and field.type.unit == "ns"
        else field.type
        for field in batch.schema
    ]
    if kinds == batch.schema.types:
        return batch
    return pa.RecordBatch.from_arrays(
        [column.cast(kind, safe=False) for column, kind in zip(batch, kinds, strict=True)],
        batch.schema.names,
    )


def _columns(names: list[str], columns: Columns) -> list[str]:
    wanted = {*columns.of.values(), *(item.partition(".")[0] for item in columns.of.values())}
    return [name for name in names if name in wanted]

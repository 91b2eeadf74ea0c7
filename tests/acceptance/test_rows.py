"""Rows are read from JSON Lines, CSV and Parquet, and a damaged file is a problem with its line."""

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mealkit.acceptance.rows import read_rows
from mealkit.errors import MealkitError


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.jsonl", '{"a": 1}\n\n{"a": [2]}\n', [{"a": 1}, {"a": [2]}]),
        ("a.csv", '\ufeffa,b\r\n1,"x\ny"\r\n', [{"a": "1", "b": "x\ny"}]),
        ("a.TSV", "a\tb\n1\t2\n", [{"a": "1", "b": "2"}]),
    ],
)
def test_rows_of_texts(tmp_path, name, content, rows):
    """A row is an object; CSV has texts, may have a byte order mark and line breaks in values."""
    path = tmp_path / name
    path.write_text(content)
    assert read_rows(path, name) == (rows, False)


def test_rows_of_parquet_and_a_limit(tmp_path):
    """Only so many rows are read as are wanted, and it is said that there are more."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]}), path)
    assert read_rows(path, "a.parquet", 2) == ([{"a": 1, "b": "x"}, {"a": 2, "b": None}], True)
    assert read_rows(path, "a.parquet", 3)[1] is False


@pytest.mark.parametrize(
    ("name", "content", "where"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": }\n', "a.jsonl:2"),
        ("a.jsonl", b'{"a": 1, "a": 2}\n', "a.jsonl:1"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1"),
        ("a.jsonl", b'{"a": "\xff"}\n', "a.jsonl:1"),
        ("a.jsonl", b"[" * 100_000, "a.jsonl:1"),
        ("a.jsonl", b"", "a.jsonl"),
        ("a.csv", b"a,b\n1,2\n1\n", "a.csv:2"),
        ("a.csv", b"a,a\n1,2\n", "a.csv:1"),
        ("a.csv", b"a\n\xff\n", "a.csv:1"),
        ("a.csv", b'a\n"x', "a.csv:1"),
        ("a.parquet", b"PAR1 no Parquet", "a.parquet:1"),
        ("a.txt", b"text", "a.txt"),
    ],
)
def test_a_damaged_file_is_a_problem(tmp_path, name, content, where):
    """The problem names the file and the row."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MealkitError) as raised:
        read_rows(path, name)
    assert raised.value.problems[0].code == "TEST_DATA_INVALID"
    assert raised.value.problems[0].where == where


def test_a_value_without_json_and_a_fifo_are_problems(tmp_path):
    """A date of Parquet has no form in JSON; a FIFO is not waited for."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"a": pa.array([1], pa.timestamp("s"))}), path)
    os.mkfifo(tmp_path / "b.jsonl")
    for file in (path, tmp_path / "b.jsonl"):
        with pytest.raises(MealkitError):
            read_rows(file, file.name)

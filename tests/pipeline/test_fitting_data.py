"""`mealkit fit`: real files, good and bad, are compared with a kit's data contract."""

import gzip
import json
import os
import re
import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from mealkit.contract.population_drift import MUCH_DRIFT, SOME_DRIFT
from mealkit.errors import DataError, KitError
from mealkit.pipeline.data.fitting_data import FitRequest, files_and_kit, fit_data
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.progress import SILENT, Silent
from mealkit.recipe.lock import lock_bytes, read_lock

KITS = Path(__file__).parents[2] / "kits"
RULES = "{length: {maximum_characters: 5, action: warn}, schema: {schema: {type: string, minLength: 2}}}"


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    return kit_with(tmp_path_factory.mktemp("kits"), f"{{input: {RULES}}}")


def kit_with(folder, inputs, more=""):
    """Return a copy of a kit, with a data contract of these inputs."""
    target = folder / "kit"
    shutil.copytree(KITS / "rake", target)
    text = re.sub(r"(?ms)^data:.*?(?=^\S|\Z)", "", (target / "kit.yaml").read_text())
    data = f"data:\n  inputs: {inputs}\n" if inputs else ""
    (target / "kit.yaml").write_text(f"{text}\n{data}{more}")
    return target


def fit(kit, *files, **options):
    request = FitRequest(tuple(files), str(kit), **options)
    return fit_data(request, home_at(Path(kit).parent / "home"), SILENT)


def written(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def found(report):
    """Return line and text of the findings."""
    return [(item.line, item.what) for item in report.findings]


def test_each_row_is_a_request(kit, tmp_path):
    """Rows are counted by what they would cause; examples have the line, the field and the value."""
    lines = [json.dumps({"input": text}) for text in ("good", "a", "far too long", "b", "fine")]
    report = fit(kit, written(tmp_path, "data.jsonl", "\n".join(lines)))
    assert (report.rows, report.refused, report.warned, report.unreadable) == (5, 2, 1, 0)
    assert not report.fits
    schema, length = report.rules
    assert (schema.rule, schema.rows, [item.line for item in schema.examples]) == (
        "schema",
        2,
        [2, 4],
    )
    assert (length.rule, length.examples[0].measured) == (
        "length.maximum_characters",
        "12 characters",
    )


BAD_LINES = [
    (b'{"input": "go', "the line ends in the middle of a value"),
    (b'{"input": "g\xff\xfeod"}', "the line cannot be read: byte 12 is not UTF-8"),
    (b'{"input": "g\0od"}', "the line has a NUL byte at byte 13"),
    (b'{"input": NaN}', "the line cannot be read: NaN is not JSON"),
    (b'"good"', "the line is a text, not an object"),
    (b'["good"]', "the line is a list, not an object"),
    (b"3", "the line is a number, not an object"),
    (b"null", "the line is none, not an object"),
    (b'{"other": "good"}', "the row has no value in input"),
    (b'{"input": null}', "the row has no value in input"),
    (b"[" * 100_000, "the line cannot be read: it nests deeper than 64"),
    (
        b'{"input": ' + b"[" * 900 + b"]" * 900 + b"}",
        "the line cannot be read: it nests deeper than 64",
    ),
    (b'{"input": "' + b"x" * (17 * 2**20) + b'"}', "the line has more than 16777216 bytes"),
]


def test_a_bad_line_is_named_and_the_next_one_read(kit, tmp_path):
    """A line that is not an object in JSON is a finding with its number; the rest is read."""
    good = b'{"input": "good"}'
    lines = [line for bad, _ in BAD_LINES for line in (good, bad)]
    report = fit(kit, written(tmp_path, "data.jsonl", b"\n".join([*lines, b"", b"  ", good])))
    assert found(report) == [(2 * at + 2, what) for at, (_, what) in enumerate(BAD_LINES)]
    assert (report.rows, report.unreadable) == (len(BAD_LINES) + 1, len(BAD_LINES))


FILES = [
    ("a.jsonl", b"\xef\xbb\xbf" + b'{"input": "good"}\r\n{"input": "fine"}', 2, []),
    ("a.jsonl.gz", gzip.compress(b'{"input": "good"}\n' * 3), 3, []),
    ("bad.jsonl.gz", gzip.compress(b'{"input": "good"}\n' * 9)[:-9], 9, [(None, "the file cannot be read further: its compressed data ends early")]),
    ("a.json", b'[\n{"input": "good"}\n]', 1, [(1, "the line ends in the middle of a value"), (3, "the line cannot be read: it is not JSON: Expecting value at column 1")]),
    ("wide.jsonl", '{"input": "good"}\n'.encode("utf-16"), 0, [(None, "the file is UTF-16; JSON is UTF-8")]),
    ("empty.jsonl", b"", 0, [(None, "the file is empty")]),
    ("a.csv", b'\xef\xbb\xbfid;input\r\n1;good\r\n2;"fi\r\nne"\r\n3;next', 3, []),
    ("a.tsv", "id\tinput\n1\tgood\n".encode("utf-16"), 1, []),
    ("bad.csv", b"input,id\ngood,1\ngood\ng\xe4d,2\ng\0d,3\n,4\n", 1, [(3, "the row has 1 cells, the header 2"), (4, "column 'input' has a byte that is not UTF-8"), (5, "column 'input' has a NUL character"), (6, "the row has no value in input")]),
    ("quotes.csv", b'input\n"go"od\ngood\n"go\nod\n', 1, [(2, "the row cannot be read: text follows the quote that ends a cell"), (4, "the row cannot be read: a quote is not closed before the file ends")]),
    ("comma.tsv", b"i, d, s\tinput\n1\tgood\n", 1, []),
    ("mac.csv", b"input\rgood\r", 0, [(1, "the row cannot be read: it has a carriage return outside of quotes")]),
    ("head.csv", b"input\n", 0, [(None, "the file has no rows")]),
    ("blank.jsonl", b"\n \n", 0, [(None, "the file has no rows")]),
    ("other.csv", b"text\ngood\n", 0, [(2, "the row has no value in input")]),
    ("twice.csv", b"input,input\ngood,good\n", 0, [(1, "the header has the column 'input' twice")]),
    ("a.parquet", b"PAR1 and nothing more", 0, [(1, "the file cannot be read further: Parquet magic bytes not found in footer. Either the file is corrupted or this is not a parquet file.")]),
    ("b.parquet", b"no Parquet at all", 0, [(None, "the file is not Parquet: it does not begin with PAR1")]),
    ("a.txt", "\ufeffgood".encode(), 1, []),
    ("latin.txt", b"ab\nc\xe4d\n", 0, [(2, "the text is not UTF-8: byte 0xe4")]),
    ("nul.txt", b"ab\ncd\0\xff", 0, [(2, "the file is not a text: it has NUL bytes")]),
    ("program.bin", b"\x7fELF\0\0", 0, [(None, "the file is neither JSONL, CSV, Parquet nor text")]),
    ("a.jsonl.zst", b"\x28\xb5\x2f\xfd\0\0", 0, [(None, "the file is compressed with zstd")]),
]  # fmt: skip


def test_files_are_read_or_said_to_be_bad(kit, tmp_path):
    """Files of every format are read; what is wrong with one is a finding with its line."""
    paths = [written(tmp_path, name, data) for name, data, _, _ in FILES]
    report = fit(kit, *paths)
    expected = [(name, line, what) for name, _, _, findings in FILES for line, what in findings]
    assert [(Path(item.file).name, item.line, item.what) for item in report.findings] == expected
    rows = [(Path(item.path).name, item.rows) for item in report.files]
    assert rows == [(name, count) for name, _, count, _ in FILES]
    assert report.unreadable == len(expected)


def test_a_folder_is_read_whole(kit, tmp_path):
    """A folder's texts and data files are read in order; binary files and FIFOs are findings; links are not followed."""
    (tmp_path / "data" / "more").mkdir(parents=True)
    for name, data in (
        ("b.txt", "good"),
        ("more/a.jsonl", '{"input": "good"}'),
        ("c.bin", b"\0"),
        (".x", ""),
    ):
        written(tmp_path / "data", name, data)
    (tmp_path / "data" / "link.txt").symlink_to("/etc/hostname")
    os.mkfifo(tmp_path / "data" / "d.jsonl")
    report = fit(kit, tmp_path / "data")
    assert [(Path(item.path).name, item.rows) for item in report.files] == [
        ("b.txt", 1),
        ("c.bin", 0),
        ("d.jsonl", 0),
        ("a.jsonl", 1),
    ]
    assert report.unreadable == 2
    assert report.findings[1].what == "the file cannot be read: it is not a regular file"


def test_parquet_with_nested_types_is_read(tmp_path):
    """Lists, structs, dates and decimals of Parquet are what they would be in JSON."""
    rows = [
        {
            "documents": [{"text": "one", "date": date(2026, 1, 1), "score": Decimal("1.5")}],
            "series": [1.0, None],
        },
        {"documents": [{"text": "two", "date": None, "score": None}], "series": [2.0, 99.0]},
    ]
    table = pa.Table.from_pylist(rows)
    nanoseconds = pa.array([1, 1_800_000_000_000_000_001], pa.timestamp("ns", "UTC"))
    parquet.write_table(table.append_column("at", nanoseconds), tmp_path / "a.parquet")
    inputs = "{documents: {provenance: {required: [date]}}, series: {range: {maximum: 9}}, at: {age: {maximum_days: 100000}}}"
    report = fit(kit_with(tmp_path, inputs), tmp_path / "a.parquet")
    assert (report.rows, report.refused) == (2, 2)
    assert [(item.line, item.field) for rule in report.rules for item in rule.examples] == [
        (2, "documents[0]"),
        (1, "series[1]"),
        (2, "series[1]"),
    ]


def test_cells_of_numbers_and_lists_are_json(tmp_path):
    """A CSV cell is a text, unless the input is a number or a list; a column may have another name."""
    inputs = (
        "{series: {range: {maximum: 9}, column: values}, query: {length: {maximum_characters: 2}}}"
    )
    path = written(tmp_path, "a.csv", 'values,query\n"[1, 20]",12\n7,\nmany,1\nNaN,1\n')
    report = fit(kit_with(tmp_path, inputs), path)
    assert [
        (item.line, item.field, item.measured) for rule in report.rules for item in rule.examples
    ] == [
        (4, "series", "a value that is not a number"),
        (5, "series", "a value that is not a number"),
        (2, "series[1]", "20"),
    ]


def test_a_missing_column_is_said_once(tmp_path):
    """An input that no row has is a finding about the file, and refuses nothing."""
    inputs = (
        "{query: {length: {maximum_characters: 9}}, documents: {length: {maximum_characters: 9}}}"
    )
    report = fit(kit_with(tmp_path, inputs), written(tmp_path, "a.jsonl", '{"query": "a"}\n' * 9))
    assert found(report) == [(None, "no row has a value in documents, for the input documents")]
    assert report.fits


def test_a_text_needs_an_input(tmp_path):
    """With several inputs, the caller says which one the text files are."""
    inputs = (
        "{query: {length: {maximum_characters: 9}}, documents: {length: {maximum_characters: 2}}}"
    )
    kit, path = kit_with(tmp_path, inputs), written(tmp_path, "a.txt", "good")
    with pytest.raises(DataError, match="DATA_INPUT"):
        fit(kit, path)
    assert fit(kit, path, text_input="query").fits
    with pytest.raises(DataError, match="DATA_INPUT"):
        fit(kit, path, text_input="nothing")


def test_a_kit_without_a_contract_is_a_problem(tmp_path):
    """Data cannot be compared with a contract that does not exist."""
    with pytest.raises(DataError, match="DATA_CONTRACT"):
        fit(kit_with(tmp_path, None), written(tmp_path, "a.jsonl", "{}"))


def test_the_kit_is_named_last_or_by_option(kit, tmp_path, monkeypatch):
    """The last argument is the kit if it is one; a data file never is."""
    path = str(written(tmp_path, "a.jsonl", "{}"))
    assert files_and_kit([path, str(kit)], None) == ([path], str(kit))
    assert files_and_kit([path, "rake:1.0.0"], None) == ([path], "rake:1.0.0")
    assert files_and_kit([path, path], None) == ([path, path], ".")
    assert files_and_kit([path], "rake:1.0.0") == ([path], "rake:1.0.0")
    for arguments in ([str(kit)], ["missing.jsonl"], ["missing.jsonl", str(kit)]):
        with pytest.raises(DataError, match="DATA_UNREADABLE"):
            files_and_kit(arguments, None)


def test_without_a_kit_here_the_command_says_how_to_name_one(tmp_path, monkeypatch):
    """The folder has data only, so the problem is not a missing kit.yaml."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KitError) as raised:
        fit(".", Path("a.jsonl"))
    assert raised.value.problems[0].hint == "name the kit last: mealkit fit a.jsonl KIT"


def psi_of(report):
    return next(item.psi for item in report.drift if item.measure == "characters")


def test_a_profile_is_written_locked_and_compared(tmp_path):
    """A profile of the author's data is in the kit's lock without changing its recipe; other data differs from it."""
    # The languages are in the committed lock: its gateway has the package for them.
    inputs = "{text: {length: {maximum_characters: 500}, languages: {allowed: [en], action: warn}}}"
    kit = kit_with(tmp_path, inputs, "  profile: data_profile.json\n")
    home = home_at(tmp_path / "home")
    before = open_kit(kit, home)
    assert [item.message for item in before.warnings] == ["data_profile.json does not exist yet"]
    lines = [json.dumps({"text": "x" * (50 + number % 40)}) for number in range(300)]
    like = written(tmp_path, "like.jsonl", "\n".join(lines))
    other = written(
        tmp_path, "other.jsonl", "\n".join(line.replace("xxx", "xxxxxxxxx") for line in lines)
    )
    report = fit(kit, like, profile=kit / "data_profile.json")
    assert (report.drift, report.repeated) == ((), 260)
    after = open_kit(kit, home)
    locked = after.lock_as_written()
    assert locked.data_profile == after.parts.profile == report.profile
    assert locked.recipe == before.lock_as_written().recipe
    assert read_lock(lock_bytes(locked), "kit.lock") == locked
    assert psi_of(fit(kit, like)) < SOME_DRIFT < MUCH_DRIFT < psi_of(fit(kit, other))
    assert "xxx" not in (kit / "data_profile.json").read_text()
    written(kit, "data_profile.json", '{"rows": -1}')
    with pytest.raises(KitError, match="the file is not a profile"):
        open_kit(kit, home)


def test_a_profile_of_few_rows_is_not_written(kit, tmp_path):
    """The statistics of a few rows would describe each of them."""
    path = written(tmp_path, "a.jsonl", '{"input": "good"}\n' * 99)
    with pytest.raises(DataError, match="DATA_PROFILE"):
        fit(kit, path, profile=tmp_path / "data_profile.json")
    assert not (tmp_path / "data_profile.json").exists()


def test_languages_and_dates_are_checked_where_the_contract_asks(tmp_path):
    """fit loads what tells languages only if a rule needs it, and knows today's date."""
    inputs = "{text: {languages: {allowed: [en]}}, day: {age: {maximum_days: 30}}}"
    today = datetime.now(UTC).date()
    rows = [
        {"text": "The quick brown fox jumps over the lazy dog in the forest.", "day": str(today)},
        {"text": "Der schnelle braune Fuchs springt über den faulen Hund.", "day": "2000-01-01"},
    ]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    report = fit(kit_with(tmp_path, inputs), path)
    assert [(item.name, item.rule, item.rows) for item in report.rules] == [
        ("day", "age", 1),
        ("text", "languages", 1),
    ]
    assert report.profile.inputs["text"].languages == {"en": 1, "de": 1}
    json.dumps(report.as_json())


def test_tokens_need_a_tokenizer(tmp_path):
    """A kit without tokenizer.json has its rule of tokens named as not checked."""
    kit = kit_with(tmp_path, "{input: {length: {maximum_tokens: 3}}}")
    report = fit(kit, written(tmp_path, "a.jsonl", '{"input": "one two three four"}'))
    assert (report.unchecked, report.fits) == (("input.length.tokens",), True)


class Interrupted(Silent):
    """A progress during which the user presses Ctrl-C: when the first file has been read."""

    def task(self, title, total_bytes):
        if title.endswith("second.jsonl"):
            raise KeyboardInterrupt
        return super().task(title, total_bytes)


def test_an_interrupted_command_leaves_nothing(kit, tmp_path):
    """Ctrl-C leaves the old profile as it was, and no half of a new one."""
    files = [
        written(tmp_path, name, '{"input": "good"}\n' * 200)
        for name in ("first.jsonl", "second.jsonl")
    ]
    profile = written(tmp_path, "data_profile.json", "old")
    request = FitRequest(tuple(files), str(kit), profile=profile)
    with pytest.raises(KeyboardInterrupt):
        fit_data(request, home_at(kit.parent / "home"), Interrupted())
    assert profile.read_text() == "old"
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "data_profile.json",
        "first.jsonl",
        "second.jsonl",
    ]

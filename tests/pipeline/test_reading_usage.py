"""Reports of usage, from files that may be of others."""

import csv
import re
from contextlib import closing
from datetime import date

import pytest

from mealkit.errors import DeploymentError
from mealkit.ledger.prices import Amount
from mealkit.ledger.usage_book import Booking, UsageBook, Used
from mealkit.ledger.usage_sqlite import SqliteUsage
from mealkit.ledger.usage_summary import By, sum_usage
from mealkit.pipeline.home import Home
from mealkit.pipeline.operate.reading_usage import Days, read_usage, usage_csv
from mealkit.reports.usage_chart import usage_chart

DAY = 86400
NOON = 1_796_040_000
"""2026-11-30, 12:00 UTC."""


class Moved(SqliteUsage):
    time = float(NOON)

    def now(self):
        return self.time


@pytest.fixture
def home(tmp_path):
    """A home in which two kits ran, on two days."""
    for kit, key, days in (("a", "team", 0), ("a", "team", 1), ("a", "", 1), ("b", "team", 1)):
        folder = tmp_path / "records" / kit
        folder.mkdir(parents=True, exist_ok=True)
        with closing(Moved(folder / "usage.sqlite")) as database:
            database.time += days * DAY
            used = Used(2, 10, 5, 1_500_000_000, 250_000_000)
            UsageBook(database, kit, "EUR").work([], [Booking(0, key, Amount(), used, None)])
    return Home(tmp_path)


def sums(rows, *by):
    return {item.parts: (item.used.requests, item.cost) for item in sum_usage(rows, by)}


def test_usage_is_summed_up(home):
    """Without a name all kits of this machine are read; days are those of UTC."""
    rows = read_usage([], Days(), home)
    assert sums(rows, By.KIT, By.DAY) == {
        ("a", "2026-11-30"): (2, "1.50"),
        ("a", "2026-12-01"): (4, "3.00"),
        ("b", "2026-12-01"): (2, "1.50"),
    }
    assert sums(read_usage(["a"], Days(), home), By.KEY) == {
        ("-",): (2, "1.50"),
        ("team",): (4, "3.00"),
    }
    day = date(2026, 11, 30)
    path = str(home.records / "a" / "usage.sqlite")
    assert sums(read_usage([path], Days(day, day), home), By.KEY) == {("team",): (2, "1.50")}


def test_a_chart_has_a_bar_for_each_day_and_part(home):
    """The chart is an image with the days and the names; the same usage gives the same bytes."""
    rows = read_usage([], Days(), home)
    drawn = usage_chart(rows, By.KIT)
    texts = set(re.findall(r">([^<>]+)</text>", drawn.decode()))
    assert {"2026-11-30", "2026-12-01", "a", "b", "EUR"} <= texts
    assert usage_chart(rows, By.KIT) == drawn


def hostile(path, *values):
    with closing(SqliteUsage(path)) as database:
        database.rows("INSERT INTO mealkit_usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)


def test_no_cell_is_a_formula(home):
    """A name that a spreadsheet would run as a formula is quoted."""
    path = home.root / "usage.sqlite"
    hostile(path, NOON, "=1+1", "@x\n", "EUR", 1, 2, 3, 4, 5)
    found = usage_csv(sum_usage(read_usage([str(path)], Days(), home), (By.KIT, By.KEY)), "kk")
    (row,) = list(csv.reader(found.splitlines(keepends=True)))[1:]
    assert row == ["'=1+1", "'@x\n", "EUR", "1", "2", "3", "0.000000004", "0.000"]


@pytest.mark.parametrize(
    "values",
    [
        (NOON, "kit", "key", "EUR", 1, 2, 3, 4.5, 5),
        (NOON, "kit", "key", "EUR", "many", 2, 3, 4, 5),
        (NOON, "k" * 1000, "key", "EUR", 1, 2, 3, 4, 5),
    ],
    ids=range(3),
)
def test_rows_of_other_types_are_refused(home, values):
    """SQLite stores any type in any column; a report takes only what mealkit writes."""
    path = home.root / "usage.sqlite"
    hostile(path, *values)
    with pytest.raises(DeploymentError, match="has no usage that can be read"):
        read_usage([str(path)], Days(), home)


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_other_files_are_refused(home, content):
    """A file that is not a database of usage is a problem with its name."""
    path = home.root / "usage.sqlite"
    path.write_bytes(content)
    with pytest.raises(DeploymentError) as caught:
        read_usage([str(path)], Days(), home)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("USAGE_UNREADABLE", str(path))
    with pytest.raises(DeploymentError, match="nor a kit"):
        read_usage(["unknown"], Days(), home)


def test_a_file_in_use_is_read(home):
    """A report needs no stop of the kit, and changes nothing."""
    with closing(SqliteUsage(home.records / "a" / "usage.sqlite")) as database:
        UsageBook(database, "a", "EUR").work([], [])
        assert len(read_usage(["a"], Days(), home)) == 3

"""The kits with a paper's own code keep what they promise; the same kits, broken, do not."""

import csv
import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from fakes.little import Heard
from fakes.promises import assert_kept, failed_names, measured

from mealkit.acceptance.report import Report
from mealkit.errors import MealkitError
from mealkit.pipeline.home import Home, home_at
from mealkit.pipeline.kit.locking import check_lock
from mealkit.pipeline.machine.clients import stop_kit
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit

KITS = Path(__file__).parents[2] / "kits"

pytestmark = [pytest.mark.online, pytest.mark.xdist_group("promises")]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, test_cache: Path) -> Home:
    """A home that has fetched what it needs before."""
    root = tmp_path_factory.mktemp("promises") / "home"
    files = test_cache / "home" / "files"
    files.mkdir(parents=True, exist_ok=True)
    root.mkdir()
    (root / "files").symlink_to(files)
    return home_at(root)


@dataclass(frozen=True)
class Running:
    """A kit that runs, and the folder that it was built from."""

    url: str
    folder: Path

    def ask(self, **values: Any) -> tuple[Any, Any]:
        """Return the output, and the answer's headers."""
        body = json.dumps({"model": self.folder.name, "input": values}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/predict", body, headers)
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["output"], answer.headers

    def refusal(self, **values: Any) -> tuple[int, str, str]:
        """Return the status, code and place of the problem that an input is refused with."""
        with pytest.raises(HTTPError) as caught:
            self.ask(**values)
        with caught.value as answer:
            error = json.load(answer)["error"]
        return answer.code, error["mealkit_code"], error["where"]


@pytest.fixture(scope="module")
def run(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Run a copy of a kit, changed, in the sandbox; all are stopped at the end."""
    names: list[str] = []

    def start(name: str, change: Callable[[Path], None] = lambda _: None) -> Running:
        folder = tmp_path_factory.mktemp("copies") / name
        shutil.copytree(KITS / name, folder)
        change(folder)
        names.append(f"mealkit-test-promises-{len(names)}-{home.root.parent.name}")
        request = RunRequest(str(folder), name=names[-1], port=0, client="sandbox")
        return Running(run_kit(request, home, Heard()).url, folder)

    yield start
    for name in names:
        with suppress(MealkitError):
            stop_kit(name, timeout_seconds=10, home=home)


@pytest.fixture(scope="module")
def vader(run: Callable[..., Running]) -> Running:
    return run("vader")


@pytest.fixture(scope="module")
def nile(run: Callable[..., Running]) -> Running:
    return run("nile")


def replaced(file: str, old: str, new: str) -> Callable[[Path], None]:
    """A change of one place in a file; another length of data makes the test of a twin shorter."""

    def change(folder: Path) -> None:
        text = (folder / file).read_text()
        assert text.count(old) == 1
        (folder / file).write_text(text.replace(old, new))
        tweets = folder / "data" / "tweets.jsonl"
        if tweets.is_file():
            tweets.write_text("".join(tweets.read_text().splitlines(keepends=True)[:200]))

    return change


@pytest.mark.parametrize("name", ["vader", "nile"])
def test_the_committed_lock_is_the_kits(name: str, tmp_path: Path):
    """What is built is what stands in the folder."""
    assert check_lock(KITS / name, Home(tmp_path)).stale is None


def test_vader_is_as_good_as_its_paper_says(vader: Running, home: Home):
    """Correlation and F1 of the paper's table, on its 4,200 texts, and the package's examples."""
    assert_kept(measured(vader.url, vader.folder, home))


def test_vader_tells_which_texts_it_was_not_made_for(vader: Running):
    """Another language is answered with a warning, and a damaged text is refused."""
    german = "Das Essen war leider kalt, und die Bedienung hat uns lange warten lassen."
    output, headers = vader.ask(text=german)
    assert output["label"] in {"positive", "neutral", "negative"}
    assert "languages" in headers["X-Mealkit-Data-Warnings"]
    _, headers = vader.ask(text="The food was cold, and we had to wait for it for a long time.")
    assert headers["X-Mealkit-Data-Warnings"] is None
    refused = vader.refusal(text="The caf\ufffd is \ufffd\ufffd\ufffd good.")
    assert refused == (422, "DATA_QUALITY", "input.text")


def test_nile_refuses_years_that_no_forecast_says_anything_of(nile: Running):
    """The handler would answer until 2100; the data contract ends earlier."""
    assert nile.refusal(year=2050) == (422, "DATA_SCHEMA", "input.year")


def test_nile_gives_the_books_numbers(nile: Running, home: Home):
    """Both published variances, from the measurements in the wheel of another package."""
    report = measured(nile.url, nile.folder, home)
    assert_kept(report)
    rows = {item.claim.name: item.rows for item in report.claims}
    assert rows["filtered-level"] == 100


def test_the_forecasts_are_compared_with_the_wheels_measurements(home: Home, nile: Running):
    """The rows of the kit's own file are those of the wheel's table, without the first year."""
    (table,) = (path for path in home.files.rglob("*") if path.is_file() and _is_the_table(path))
    with table.open() as file:
        expected = [(int(row["year"]), float(row["volume"])) for row in csv.DictReader(file)]
    lines = (nile.folder / "data" / "forecasts.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [(row["year"], row["volume"]) for row in rows] == expected[1:]
    assert {row["year"] for row in rows if row["years"] == "before 1899"} == set(range(1872, 1899))


def _is_the_table(path: Path) -> bool:
    return path.stat().st_size < 2000 and path.read_bytes().startswith(b"year,volume")


@pytest.mark.parametrize(
    ("name", "change", "noticed"),
    [
        pytest.param(
            "rake",
            replaced("handler.py", "degree[word] / frequency[word]", "float(degree[word])"),
            {"chapters-keywords", "chapters-abstract"},
            id="rake-scores-by-degree",
        ),
        pytest.param(
            "vader",
            replaced("handler.py", "if compound > 0", "if compound < 0"),
            {"three-classes", "emphasis", "negation", "contrast"},
            id="vader-swaps-its-labels",
        ),
        pytest.param(
            "nile",
            replaced("handler.py", "after.variance + ratio))", "after.variance))"),
            {"observation-variance", "level-variance", "next-year", "filtered-level"},
            id="nile-has-a-fixed-level",
        ),
    ],
)
def test_a_broken_twin_is_noticed(
    name: str,
    change: Callable[[Path], None],
    noticed: set[str],
    run: Callable[..., Running],
    home: Home,
):
    """A kit that answers, but not as promised: the claims and cases of what is broken fail."""
    twin = run(name, change)
    report: Report = measured(twin.url, twin.folder, home)
    assert noticed <= failed_names(report)

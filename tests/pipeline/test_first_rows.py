"""A claim that names another column than its data has is refused when the kit is locked."""

import json

import pytest
from fakes.little import OFFLINE, Heard, edit_kit, little_kit

from mealkit.errors import KitError, MealkitError
from mealkit.pipeline.home import home_at
from mealkit.pipeline.kit.first_rows import require_testable
from mealkit.pipeline.kit.locking import lock_kit
from mealkit.pipeline.kit.opened_kit import open_kit
from mealkit.recipe.cases import Case
from mealkit.recipe.claims import Claimed

pytestmark = pytest.mark.xdist_group("first-rows")

PAIRS = b'{"first": "a", "second": "b", "score": 1, "n": 2}\n' * 3
ASK = {"kind": "similarity", "first": "first", "second": "second"}
CLAIM = {
    "name": "table-1",
    "source": "Table 1",
    "data": "sts/pairs.jsonl",
    "ask": ASK,
    "expected": "score",
    "metric": "spearman",
    "value": 0.8,
    "tolerance": {"absolute": 0.01},
}
RETRIEVAL = {"kind": "retrieval", "query": "first", "corpus": "sts/corpus.csv"}


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A kit with data and without claims, its lock, and its home."""
    folder, home = tmp_path_factory.mktemp("rows"), home_at(tmp_path_factory.mktemp("home"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in OFFLINE.items():
            patch.setenv(name, value)
        kit = little_kit(folder / "kit")
        (kit / "data").mkdir()
        (kit / "data" / "pairs.jsonl").write_bytes(PAIRS)
        (kit / "data" / "corpus.csv").write_text("id,text\n1,x\n")
        (kit / "data" / "notes.txt").write_text("notes\n")
        local = {"source": "folder", "path": "data", "files": ["*"]}
        edit_kit(kit, lambda form: form.update(datasets={"sts": local}))
        lock_kit(kit, upgrade=frozenset(), home=home, progress=Heard())
    return open_kit(kit, home), home


def check(locked, **changes):
    kit, home = locked
    claim = Claimed.model_validate_json(json.dumps({**CLAIM, **changes}))
    require_testable(kit, kit.lock.model_copy(update={"claims": (claim,)}), home)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"slices": ["n"]},
        {"metric": "mrr", "ask": RETRIEVAL},
        {"metric": "texts_per_second", "expected": "nothing"},
    ],
    ids=["pairs", "slices", "retrieval", "speed"],
)
def test_a_claim_that_fits_its_data_is_locked(locked, changes):
    """A claim of speed needs no right answers."""
    check(locked, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expected": "gold"}, "it has no column 'gold'; it has 'first', 'second', 'score', 'n'"),
        ({"slices": ["language"]}, "no column 'language'"),
        ({"ask": {**ASK, "first": "left"}}, "no column 'left'"),
        ({"ask": {**ASK, "first": "n"}}, "the value in the column n is not a text"),
        (
            {"ask": {**ASK, "parameters": {"dimensions": 3}}},
            "the request for its first row would be refused: dimensions",
        ),
        ({"data": "sts"}, "sts is 3 files, expected 1"),
        ({"data": "sts/other.jsonl"}, "sts/other.jsonl is 0 files, expected 1"),
        ({"data": "sts/notes.txt"}, "its name ends in none of .jsonl, .csv, .tsv, .parquet"),
        (
            {"metric": "mrr", "ask": {**RETRIEVAL, "document": "body"}},
            "no column 'body'",
        ),
    ],
)
def test_a_claim_that_does_not_fit_its_data_is_named(locked, changes, said):
    """The problem names the claim, the file and its columns."""
    with pytest.raises(KitError) as caught:
        check(locked, **changes)
    (found,) = caught.value.problems
    assert found.code == "KIT_INVALID"
    assert found.message.startswith("claims.table-1: ")
    assert said.replace("'", "") in found.message.replace("'", "").replace('"', "")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"request": {"inputs": "a"}}, "input is missing"),
        ({"request": {"input": "a", "seed": 1}}, "seed is not a parameter of this endpoint"),
        (
            {"request": {"messages": []}, "endpoint": "/v1/chat/completions"},
            "the kit has no endpoint /v1/chat/completions",
        ),
    ],
)
def test_a_case_that_the_gateway_would_refuse_is_named(locked, case, said):
    """The endpoint, the missing parameter, or the one that it does not know."""
    kit, home = locked
    case = Case.model_validate_json(json.dumps({"name": "one", **case}))
    with pytest.raises(KitError) as caught:
        require_testable(kit, kit.lock.model_copy(update={"cases": (case,)}), home)
    (found,) = caught.value.problems
    assert f"cases.one: its request would be refused: {said}" in found.message.replace(
        "'", ""
    ).replace('"', "")


def test_a_claim_that_does_not_fit_is_not_locked(locked):
    """The lock of before stays as it was."""
    kit, home = locked
    before = kit.lock_path.read_bytes()
    edit_kit(kit.folder, lambda form: form.update(claims=[{**CLAIM, "expected": "gold"}]))
    with pytest.raises(KitError, match="no column"):
        lock_kit(kit.folder, upgrade=frozenset(), home=home, progress=Heard())
    assert kit.lock_path.read_bytes() == before


def problems_of_lock(locked, fields):
    """The problems of locking the kit with other fields, and the lines of its kit.yaml."""
    kit, home = locked
    before = (kit.folder / "kit.yaml").read_bytes()
    edit_kit(kit.folder, lambda form: form.update(fields))
    lines = (kit.folder / "kit.yaml").read_text().split("\n")
    try:
        with pytest.raises(MealkitError) as caught:
            lock_kit(kit.folder, upgrade=frozenset(), home=home, progress=Heard())
    finally:
        (kit.folder / "kit.yaml").write_bytes(before)
    return caught.value.problems, lines


def test_what_does_not_fit_is_named_with_its_line(locked):
    """The author finds the claim and the case in kit.yaml, and not only in the lock."""
    wrong = {"name": "one", "request": {"inputs": "a"}}
    second = {**CLAIM, "name": "two", "expected": "gold"}
    problems, lines = problems_of_lock(locked, {"claims": [CLAIM, second], "cases": [wrong]})
    told = [lines[int(item.where.rpartition("kit.yaml:")[2]) - 1] for item in problems]
    assert len(told) == 2
    assert "name: two" in told[0]
    assert "request:" in told[1]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"files": ["nothing.csv"]}, "datasets.gone: there is no nothing.csv, in "),
        ({"path": "date"}, "datasets.gone: the folder does not exist, in "),
    ],
)
def test_data_that_cannot_be_locked_is_named_with_its_line(locked, entry, said):
    """The data set, the place where it was looked for, and the line in kit.yaml."""
    local = {"source": "folder", "path": "data", "files": ["*"]}
    problems, lines = problems_of_lock(locked, {"datasets": {"sts": local, "gone": local | entry}})
    assert problems[0].message.startswith(said)
    assert "gone:" in lines[int(problems[0].where.rpartition("kit.yaml:")[2]) - 1]

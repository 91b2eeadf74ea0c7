"""Data sets come through the sources of weights, each in a folder of its name, in any data format."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.hub_server import HubServer
from fakes.kits import KIT, kit_of, with_value

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.recipe.weight_places import Weights
from mealkit.sources.dataset_files import (
    changed_datasets,
    fetch_locked_datasets,
    resolve_datasets,
)
from mealkit.sources.source import Supplies

ROWS = b'{"text": "a"}\n{"text": "b"}\n'
ARRAY = b"PAR1" + bytes(range(256)) + b"PAR1"
TOKEN = "ghp_" + "0a1B2c3D4e5F6g7H8i9J" + "0k1L2m3N4o5P6q7R"


def datasets(**entries: dict[str, Any]) -> dict[str, Weights]:
    return dict(kit_of(with_value(KIT, "datasets", entries)).datasets)


def local(*files: str, **fields: Any) -> dict[str, Any]:
    return {"source": "folder", "path": "data", "files": [*(files or ("*",))], **fields}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A kit's folder with data: rows, a table of columns, and more rows below it."""
    data = tmp_path / "kit" / "data"
    (data / "more").mkdir(parents=True)
    (data / "rows.jsonl").write_bytes(ROWS)
    (data / "table.parquet").write_bytes(ARRAY)
    (data / "more" / "rows.jsonl").write_bytes(ROWS)
    return tmp_path / "kit"


@pytest.fixture
def data_supplies(supplies: Supplies) -> Supplies:
    return Supplies(supplies.downloader, any_data=True, field="datasets")


def test_two_data_sets_have_their_own_folders(folder: Path, data_supplies: Supplies) -> None:
    """Files of one name do not meet, and any data is accepted beside text."""
    found, notices = resolve_datasets(
        folder,
        datasets(a=local("rows.jsonl", "table.parquet"), b=local("rows.jsonl", into="x")),
        data_supplies,
    )
    assert notices == []
    assert {name: [file.path for file in item.files] for name, item in found.items()} == {
        "a": ["a/rows.jsonl", "a/table.parquet"],
        "b": ["b/x/rows.jsonl"],
    }
    assert [file.format for file in found["a"].files] == ["text", "data"]
    assert found["a"].files[0].sha256 == Digest.of(ROWS)


@pytest.mark.parametrize(
    ("spoil", "code", "hint"),
    [
        (lambda data: (data / "out").symlink_to("/etc/passwd"), "KIT_PATH_OUTSIDE", "--allow"),
        (lambda data: (data / "out").write_text(TOKEN), "KIT_SECRET", "allow_secrets: [data/out]"),
        (lambda data: (data / "id_rsa").write_text("x"), "KIT_SECRET", "allow_secrets"),
        (
            lambda data: (data / "out").write_bytes(pickle.dumps({"a": 1})),
            "WEIGHTS_PICKLE",
            "JSON Lines, CSV or Parquet",
        ),
        (lambda data: (data / "out").write_bytes(b"\x7fELF\x02\x01"), "WEIGHTS_FORMAT", "Parquet"),
    ],
    ids=["link", "token", "key", "pickle", "program"],
)
def test_what_must_not_be_published_is_no_data(
    folder: Path, data_supplies: Supplies, spoil: Callable[[Path], object], code: str, hint: str
) -> None:
    """Links out of the kit, secrets, pickles and programs are refused like those of weights."""
    spoil(folder / "data")
    entry = local("out" if (folder / "data/out").is_symlink() else "*")
    with pytest.raises(MealkitError) as caught:
        resolve_datasets(folder, datasets(a=entry), data_supplies)
    assert caught.value.problems[0].code == code
    assert hint in (caught.value.problems[0].hint or "")
    assert caught.value.problems[0].where != "model.weights"


@pytest.mark.parametrize("path", ["../out.jsonl", "/etc/passwd", "a/../../b", "a\\..\\b", ""])
def test_a_path_out_of_the_folder_is_no_name(path: str) -> None:
    """The kit's own models refuse it before any file is opened."""
    with pytest.raises(ValueError, match="files"):
        datasets(a=local(path))


def test_a_digest_that_the_kit_asserts_is_required(folder: Path, data_supplies: Supplies) -> None:
    """Other bytes are refused when the data is pinned, and make a locked data set unresolved."""
    right = datasets(a=local("rows.jsonl", sha256={"rows.jsonl": Digest.of(ROWS).hex}))
    locked, _ = resolve_datasets(folder, right, data_supplies)
    (folder / "data" / "rows.jsonl").write_bytes(ROWS + ROWS)
    with pytest.raises(MealkitError) as caught:
        resolve_datasets(folder, right, data_supplies)
    assert caught.value.problems[0].code == "SOURCE_DIGEST"
    current = changed_datasets(folder, right, locked, data_supplies)
    assert current.unresolved == {"a"}


def test_a_changed_a_new_and_a_missing_file_are_found(
    folder: Path, data_supplies: Supplies
) -> None:
    """Each data set is compared by itself, and one that did not change is not mentioned."""
    entries = datasets(a=local("*.jsonl"), b=local("table.parquet"))
    locked, _ = resolve_datasets(folder, entries, data_supplies)
    assert changed_datasets(folder, entries, locked, data_supplies).changed == {}

    (folder / "data" / "rows.jsonl").write_bytes(ROWS + ROWS)
    (folder / "data" / "more" / "rows.jsonl").unlink()
    (folder / "data" / "new.jsonl").write_bytes(ROWS)
    current = changed_datasets(folder, entries, locked, data_supplies)

    assert [*current.changed] == ["a"]
    files = {file.path: file.sha256 for file in current.changed["a"].files}
    assert files["a/rows.jsonl"] == Digest.of(ROWS + ROWS)
    assert files["a/new.jsonl"] == Digest.of(ROWS)
    assert current.missing == ("a/more/rows.jsonl",)
    assert current.unresolved == {"a"}


def test_data_from_an_address_is_downloaded_once(
    tmp_path: Path, data_supplies: Supplies, hub: HubServer
) -> None:
    """It is pinned by its bytes, and then taken from the verified files."""
    hub.add("rows.jsonl", ROWS)
    entries = datasets(a={"source": "http", "url": f"{hub.url}/plain", "files": ["rows.jsonl"]})
    locked, _ = resolve_datasets(tmp_path, entries, data_supplies)
    assert not locked["a"].is_only_here
    hub.stop()
    found = fetch_locked_datasets(tmp_path, entries, locked["a"].files, data_supplies)
    assert found[Digest.of(ROWS)].read_bytes() == ROWS

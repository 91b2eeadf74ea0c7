"""Weights from a folder: within the kit's bounds, and no secrets among them."""

import os
from dataclasses import replace

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.recipe.weight_places import FolderPlace
from mealkit.sources.kit_folder import FolderReader


@pytest.fixture
def kit(tmp_path):
    folder = tmp_path / "kit"
    (folder / "weights").mkdir(parents=True)
    (folder / "weights" / "config.json").write_text("{}")
    return folder


def _pinned(kit, supplies, *files, path="weights"):
    reader = FolderReader(FolderPlace(source="folder", path=str(path)), kit, supplies)
    return [item.name for item in reader.pin(files, {})]


def _code(kit, supplies, *files, path="weights"):
    with pytest.raises(MealkitError) as caught:
        _pinned(kit, supplies, *files, path=path)
    return caught.value.problems[0].code


def test_a_file_that_links_out_is_refused(kit, supplies, tmp_path):
    """Named, or meant by a pattern; with the folder allowed it is taken."""
    (tmp_path / "private.json").write_text("{}")
    (kit / "weights" / "a.json").symlink_to(tmp_path / "private.json")
    assert _code(kit, supplies, "a.json") == "KIT_PATH_OUTSIDE"
    assert _code(kit, supplies, "*.json") == "KIT_PATH_OUTSIDE"
    allowed = replace(supplies, allowed=(tmp_path,))
    assert _pinned(kit, allowed, "*.json") == ["a.json", "config.json"]


def test_a_folder_that_links_out_is_not_looked_through(kit, supplies, tmp_path):
    """A file below it is refused by name, and no pattern finds it."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.json").write_text("{}")
    (kit / "weights" / "sub").symlink_to(tmp_path / "other")
    assert _code(kit, supplies, "sub/b.json") == "KIT_PATH_OUTSIDE"
    assert _pinned(kit, supplies, "*.json") == ["config.json"]
    with pytest.raises(MealkitError, match="not followed: sub -> "):
        _pinned(kit, supplies, "*/b.json")


def test_a_folder_that_links_inside_is_followed(kit, supplies):
    """Files below it have the names that the link gives them."""
    (kit / "real").mkdir()
    (kit / "real" / "words.json").write_text("{}")
    (kit / "weights" / "sub").symlink_to(kit / "real")
    assert _pinned(kit, supplies, "sub/words.json") == ["sub/words.json"]
    assert _pinned(kit, supplies, "*/words.json") == ["sub/words.json"]


def test_the_caches_of_the_hub_can_be_used(kit, supplies, tmp_path):
    """Snapshots are links to blobs; the cache of the model is what has to be allowed."""
    cache = tmp_path / "models--a--b"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots" / "1").mkdir(parents=True)
    (cache / "blobs" / "0123").write_text("{}")
    (cache / "snapshots" / "1" / "config.json").symlink_to("../../blobs/0123")
    allowed = replace(supplies, allowed=(cache,))
    reader = FolderReader(
        FolderPlace(source="folder", path=str(cache / "snapshots/1")), kit, allowed
    )
    (found,) = reader.pin(["*.json"], {})
    assert found.name == "config.json"
    fetched = reader.fetch("config.json", found.digest, found.size_bytes)
    assert fetched == cache / "blobs" / "0123"


def test_a_folder_outside_is_refused_when_it_is_built_from_a_lock_too(kit, supplies):
    """A lock that names a file of a folder opens no folder."""
    reader = FolderReader(FolderPlace(source="folder", path="/etc"), kit, supplies)
    with pytest.raises(MealkitError, match="KIT_PATH_OUTSIDE"):
        reader.fetch("hostname", Digest.of(b""), 0)


@pytest.mark.parametrize("name", [".env", "id_rsa", ".git/config", "tls/a.key"])
def test_secrets_are_refused_by_name(name, kit, supplies):
    """Whether they are named or meant by a pattern; the problem says the line that lifts it."""
    (kit / "weights" / name).parent.mkdir(exist_ok=True)
    (kit / "weights" / name).write_text("x")
    assert _code(kit, supplies, name) == "KIT_SECRET"
    if not name.startswith(".git"):
        assert _code(kit, supplies, "*") == "KIT_SECRET"
    lifted = replace(supplies, allow_secrets=frozenset({f"weights/{name}"}))
    assert _pinned(kit, lifted, name) == [name]


def test_secrets_are_refused_by_content(kit, supplies):
    """Under any name, and through a link with a harmless one."""
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\n-----END PRIVATE KEY-----\n"
    (kit / "weights" / "words.txt").write_text(key)
    assert _code(kit, supplies, "words.txt") == "KIT_SECRET"
    (kit / ".env").write_text("A=1")
    (kit / "weights" / "settings.txt").symlink_to(kit / ".env")
    assert _code(kit, supplies, "settings.txt") == "KIT_SECRET"


def test_what_is_no_file_is_not_waited_for(kit, supplies):
    """A FIFO is refused by name, and no pattern means it."""
    os.mkfifo(kit / "weights" / "a.json")
    assert _code(kit, supplies, "a.json") == "SOURCE_NOT_FOUND"
    assert _pinned(kit, supplies, "*.json") == ["config.json"]


def test_folders_in_a_circle_end(kit, supplies):
    """Links to folders around them are not followed."""
    (kit / "weights" / "again").symlink_to(kit)
    (kit / "weights" / "self").symlink_to("self")
    assert _pinned(kit, supplies, "*.json") == ["config.json"]
    assert _code(kit, supplies, "self/x.json") == "SOURCE_NOT_FOUND"


@pytest.mark.parametrize("path", ["~nobody-here/x", "loop"])
def test_a_path_that_leads_nowhere_is_a_problem(path, kit, supplies):
    """Of a user who is not there, or in a circle."""
    (kit / "loop").symlink_to("loop")
    assert _code(kit, supplies, "x", path=path) == "SOURCE_NOT_FOUND"

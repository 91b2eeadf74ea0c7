"""A recipe says in a few bytes how a blob is made of a file that stays where it is."""

import json
from dataclasses import replace

import pytest

from mealkit.digest import Digest
from mealkit.errors import MealkitError
from mealkit.files.identity import FileKey
from mealkit.stores.blobs import VirtualBlob
from mealkit.stores.virtual import Recipes


@pytest.fixture
def recipes(tmp_path):
    """A folder of recipes that is not yet on disk."""
    return Recipes(tmp_path / "store")


@pytest.fixture
def blob(tmp_path):
    """A virtual blob of a file whose name is not text."""
    source = tmp_path / "w\udcff"
    source.write_bytes(b"data")
    key = FileKey.of(source)
    return VirtualBlob(Digest.of(b"\0data\xff"), b"\0", source, key, b"\xff", Digest.of(b"data"))


def path_of(recipes, tmp_path):
    (path,) = (tmp_path / "store/recipes/sha256").iterdir()
    return path


def test_a_recipe_gives_its_blob_back(recipes, blob):
    """Bytes of head and tail, and a path of any bytes, survive."""
    assert recipes.find(blob.digest) is None
    assert recipes.digests() == []
    recipes.write(blob)
    assert recipes.find(blob.digest) == blob
    assert recipes.digests() == [blob.digest]


def test_a_recipe_is_written_only_if_it_is_another(recipes, blob, tmp_path):
    """A store that is only read from again does not change on disk."""
    recipes.write(blob)
    before = path_of(recipes, tmp_path).stat().st_ino
    recipes.write(blob)
    assert path_of(recipes, tmp_path).stat().st_ino == before
    moved = replace(blob, key=replace(blob.key, mtime_ns=blob.key.mtime_ns + 1))
    recipes.write(moved)
    assert recipes.find(blob.digest) == moved


def test_a_source_is_kept_without_links(recipes, blob, tmp_path):
    """A link could lead elsewhere tomorrow."""
    link = tmp_path / "link"
    link.symlink_to(blob.source)
    recipes.write(replace(blob, source=link))
    assert recipes.find(blob.digest).source == blob.source


@pytest.mark.parametrize("change", ["head", "source", "key", "tail", "file"])
@pytest.mark.parametrize("value", [None, 1, "é", [], {}])
def test_a_recipe_of_another_form_is_damaged(recipes, blob, tmp_path, change, value):
    """With the path of its file."""
    recipes.write(blob)
    path = path_of(recipes, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {change: value}))
    with pytest.raises(MealkitError, match="BLOB_DAMAGED") as caught:
        recipes.find(blob.digest)
    assert caught.value.problems[0].where == str(path)


def test_a_removed_recipe_is_gone_and_counted(recipes, blob, tmp_path):
    """What is freed is the recipe, not the file that it stands for."""
    recipes.write(blob)
    size = recipes.stored_bytes(blob.digest)
    assert size == path_of(recipes, tmp_path).stat().st_size
    assert recipes.remove(blob.digest) == size
    assert recipes.stored_bytes(blob.digest) is None
    assert blob.source.exists()


def test_files_of_killed_writers_are_found(recipes, blob, tmp_path):
    """They are no recipes."""
    recipes.write(blob)
    partial = tmp_path / "store/recipes/sha256/.half.part"
    partial.write_text("")
    assert recipes.partials() == [partial]
    assert recipes.digests() == [blob.digest]

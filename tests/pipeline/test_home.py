"""mealkit's folder is where the caller says, and nobody else may change it."""

from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.home import home_at


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    """A user whose own folders are empty."""
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    for name in ("MEALKIT_HOME", "TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "user").mkdir()


def test_a_path_counts_before_the_variable_and_that_before_the_usual_place(tmp_path, monkeypatch):
    """An empty variable is none."""
    assert home_at().root == tmp_path / "data" / "mealkit"
    monkeypatch.setenv("MEALKIT_HOME", "")
    assert home_at().root == tmp_path / "data" / "mealkit"
    monkeypatch.setenv("MEALKIT_HOME", str(tmp_path / "variable"))
    assert home_at().root == tmp_path / "variable"
    assert home_at(tmp_path / "given").root == tmp_path / "given"


def test_a_missing_home_is_made_for_its_user_alone(tmp_path):
    """Whatever the umask is."""
    home = home_at(tmp_path / "a" / "b")
    assert home.root.stat().st_mode & 0o077 == 0


def test_a_path_is_made_absolute(tmp_path, monkeypatch):
    """From the folder where the caller is, or from a home."""
    monkeypatch.chdir(tmp_path)
    assert home_at(Path("here")).root == tmp_path / "here"
    assert home_at(Path("~/there")).root == tmp_path / "user" / "there"


def test_the_home_of_an_unknown_user_is_refused():
    """It would be a folder named after them."""
    with pytest.raises(MealkitError, match="USAGE"):
        home_at(Path("~no-such-user/x"))


def test_its_parts_lie_apart(tmp_path):
    """Each may be deleted alone."""
    home = home_at(tmp_path / "home")
    parts = [home.files, home.store, home.indexes, home.debian, home.roots, home.runs]
    assert len(set(parts)) == 6
    assert {part.parent for part in parts} == {home.root}


def test_a_home_that_everyone_may_change_is_refused(tmp_path):
    """What lies in it could be another's."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(MealkitError, match="HOME_UNSAFE"):
        home_at(tmp_path / "open")

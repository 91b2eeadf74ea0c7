"""A pattern finds the files of a kit's folder, within bounds of place and of work."""

import pytest

from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.search import (
    MAX_DEPTH,
    MAX_ENTRIES,
    MAX_LINKS,
    Search,
    TooManyError,
    has_wildcard,
)


def search(folder):
    return Search(folder, Bounds.of(folder))


@pytest.fixture
def folder(tmp_path):
    """A folder of a few files."""
    for name in ("a.py", "b.txt", "lib/a.py", "lib/deep/c.py", "[x].py", ".hidden.py"):
        path = tmp_path / "kit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return tmp_path / "kit"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.py", ["a.py"]),
        ("none.py", []),
        ("lib", []),
        ("none/a.py", []),
        ("a.py/x", []),
        ("*.py", [".hidden.py", "[x].py", "a.py"]),
        ("?.py", ["a.py"]),
        ("[ab].*", ["a.py", "b.txt"]),
        ("[[]x].py", ["[x].py"]),
        ("*/a.py", ["lib/a.py"]),
        ("lib/*", ["lib/a.py"]),
        ("**/a.py", ["a.py", "lib/a.py"]),
        ("lib/**", ["lib/a.py", "lib/deep/c.py"]),
        ("**/deep/*", ["lib/deep/c.py"]),
    ],
)
def test_a_pattern_means_these_files(folder, pattern, expected):
    """Files alone, sorted, and each of them once."""
    assert search(folder).glob(pattern) == expected


@pytest.mark.parametrize(
    "pattern", ["a**", "lib/**.py", "x/***", "/".join(["*"] * (MAX_DEPTH + 1))]
)
def test_what_is_no_pattern_is_refused(folder, pattern):
    """Two stars stand alone, and no pattern has more parts than folders may lie in each other."""
    with pytest.raises(ValueError, match=r"'\*\*'|more than"):
        search(folder).glob(pattern)


def test_a_name_is_no_pattern():
    """Only the three signs make one."""
    assert [has_wildcard(text) for text in ("a.py", "a*", "a?", "[a]", "a]")] == [
        *(False, True, True, True, False)
    ]


def test_a_link_to_a_folder_outside_is_refused_by_name_and_passed_over_by_pattern(folder, tmp_path):
    """A kit that names it means it; a pattern only came upon it, and says so."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.py").write_text("")
    (folder / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(OutsideError):
        search(folder).glob("out/s.py")
    for looked in (search(folder), search(folder)):
        assert looked.glob("*/s.py") == []
        assert looked.outside == {"out": tmp_path / "secret"}
    found = search(folder)
    assert "out/s.py" not in list(found.files())
    assert found.outside == {"out": tmp_path / "secret"}


def test_two_stars_follow_no_links(folder):
    """One star does, and so does a look at all files."""
    (folder / "again").symlink_to("lib")
    assert search(folder).glob("**/c.py") == ["lib/deep/c.py"]
    assert search(folder).glob("*/a.py") == ["again/a.py", "lib/a.py"]
    assert {"again/a.py", "lib/a.py"} <= set(search(folder).files())


def test_a_link_to_itself_is_neither_a_file_nor_a_folder(folder):
    """It hinders nothing."""
    (folder / "circle.py").symlink_to("circle.py")
    assert search(folder).glob("*.py") == [".hidden.py", "[x].py", "a.py"]
    assert "circle.py" not in list(search(folder).files())


def test_folders_lie_in_each_other_only_so_deep(tmp_path):
    """At the limit the file is found; one folder more is refused."""
    deepest = tmp_path.joinpath(*["d"] * MAX_DEPTH)
    deepest.mkdir(parents=True)
    (deepest / "a.py").write_text("")
    assert list(search(tmp_path).files()) == ["d/" * MAX_DEPTH + "a.py"]
    assert search(tmp_path).glob("**/a.py") == ["d/" * MAX_DEPTH + "a.py"]
    for _ in range(2):
        deepest /= "d"
        deepest.mkdir()
    with pytest.raises(TooManyError, match=f"{MAX_DEPTH} levels"):
        list(search(tmp_path).files())
    with pytest.raises(TooManyError):
        search(tmp_path).glob("**/a.py")


def test_so_many_links_to_folders_are_followed(tmp_path):
    """One more than allowed ends the search."""
    (tmp_path / "real").mkdir()
    for number in range(MAX_LINKS):
        (tmp_path / f"link{number}").symlink_to("real")
    assert search(tmp_path).glob("*/a.py") == []
    (tmp_path / "one-more").symlink_to("real")
    with pytest.raises(TooManyError, match=f"{MAX_LINKS} links"):
        search(tmp_path).glob("*/a.py")


def test_folders_that_link_to_each_other_are_not_looked_through_without_end(tmp_path):
    """There are more ways through them than anyone could go."""
    for name in "abcdefgh":
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.json").write_text("{}")
        for other in "abcdefgh":
            (tmp_path / name / other).symlink_to(tmp_path / other)
    bounds = Bounds.of(tmp_path)
    with pytest.raises(TooManyError):
        Search(tmp_path, bounds).glob("/".join(["*"] * 9))
    with pytest.raises(TooManyError):
        list(Search(tmp_path, bounds).files())


def test_a_pattern_of_many_stars_is_linear(tmp_path):
    """Every folder is looked through once for each rest of the pattern."""
    deep = tmp_path.joinpath(*("d" for _ in range(20)))
    deep.mkdir(parents=True)
    (deep / "a.py").write_text("")
    searched = Search(tmp_path, Bounds.of(tmp_path))
    assert searched.glob("/".join(["**", "*"] * 10 + ["a.py"])) == ["d/" * 20 + "a.py"]
    assert searched._left > MAX_ENTRIES - 2000


def test_history_caches_and_environments_are_never_taken_by_a_pattern(tmp_path):
    """A pattern passes them over; a kit in a repository can take everything else."""
    for name in (".git/config", ".venv/a.py", "__pycache__/a.pyc", "lib/a.py", "lib/.hg/b"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    bounds = Bounds.of(tmp_path)
    for pattern in ("**/*", "*/*", ".git/*", "**/.git/*"):
        assert set(Search(tmp_path, bounds).glob(pattern)) <= {"lib/a.py"}
    assert list(Search(tmp_path, bounds).files()) == ["lib/a.py"]

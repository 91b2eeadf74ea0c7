"""A .dockerignore excludes the files that Docker leaves out of a build."""

import pytest

from mealkit.importing.docker_ignore import DockerIgnore


@pytest.mark.parametrize(
    ("text", "excluded", "kept"),
    [
        ("a.py", ["a.py"], ["b/a.py", "a.pyc"]),
        ("/a.py\n./b", ["a.py", "b/c"], ["c/a.py"]),
        ("*.bin", ["x.bin"], ["w/x.bin"]),
        ("**/*.bin", ["x.bin", "w/x.bin", "w/v/x.bin"], ["x.py"]),
        ("tests/", ["tests/a.py", "tests/b/c"], ["test.py"]),
        ("w/**/x", ["w/x", "w/a/b/x"], ["x"]),
        ("data/**", ["data/a", "data/b/c"], ["datum"]),
        ("*\n!predict.py\n!src", ["a.py", "w/b"], ["predict.py", "src/c.py"]),
        ("!a\na", ["a"], []),
        ("# a\n\n  b  \n", ["b"], ["a", "# a"]),
        ("[a-c]?.py", ["ax.py"], ["dx.py", "a.py"]),
        ("[^a].py", ["b.py"], ["a.py"]),
        ("\ufeffa\r\n../b", ["a"], ["b"]),
        ("[z-a]\nb", ["b"], ["a"]),
        ("", [], ["a"]),
    ],
)
def test_the_last_pattern_that_matches_counts(text, excluded, kept):
    """Also one that matches a folder above the file."""
    ignore = DockerIgnore(text)
    assert [path for path in excluded if not ignore.excludes(path)] == []
    assert [path for path in kept if ignore.excludes(path)] == []


def test_a_hostile_pattern_costs_little():
    """Many stars, and many folders of any depth."""
    ignore = DockerIgnore("\n".join([("**/" * 500) + "x", "*a" * 500 + "b", "a/" * 5000] * 3))
    assert not ignore.excludes("/".join(["aaaaaaaa" * 4] * 32))

"""The file of keys: what is in it, what is refused, and that it is never replaced."""

import os
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.run.api_keys import add_key, list_keys, remove_key
from mealkit.pipeline.run.caller_access import access_of
from mealkit.runtime.gateway.keys import new_key


def test_added_listed_removed(tmp_path):
    """A key's hash is appended; a removed one is a comment; the file stays the same file."""
    file = tmp_path / "keys.txt"
    one = add_key("one", file)
    place = file.stat().st_ino
    two = add_key("two", file)
    assert one.key not in file.read_text()
    assert [item.line for item in list_keys(file)] == [one.line, two.line]
    remove_key("one", file)
    assert [item.name for item in list_keys(file)] == ["two"]
    assert file.read_text() == f"#{one.line[1:]}\n{two.line}\n"
    assert add_key("one", file).line in file.read_text()
    assert file.stat().st_ino == place
    assert file.stat().st_mode & 0o777 == 0o644


def test_without_a_file():
    """Without a file the line to keep is given, and nothing is written."""
    assert add_key("team", None).line.endswith(" team")


def test_last_line_without_its_end(tmp_path):
    """A file that was written by hand gets a line of its own for the next key."""
    file = tmp_path / "keys.txt"
    file.write_text(f"# ours\n{new_key('one')[1].line}")
    add_key("two", file)
    assert [item.name for item in list_keys(file)] == ["one", "two"]
    remove_key("one", file)
    assert [item.name for item in list_keys(file)] == ["two"]


def test_refusals(tmp_path):
    """A taken name, an unknown one, a file of something else, and a folder without a file."""
    file = tmp_path / "keys.txt"
    add_key("one", file)
    for attempt in (
        lambda: add_key("one", file),
        lambda: remove_key("two", file),
        lambda: add_key("a b", file),
        lambda: list_keys(tmp_path / "none"),
        lambda: access_of("0.0.0.0", None),
    ):
        with pytest.raises(MealkitError):
            attempt()
    file.write_text("something else")
    with pytest.raises(MealkitError, match="line 1"):
        add_key("two", file)


def test_access(tmp_path):
    """On loopback no key is needed; with a file it is mounted; an empty one lets nobody in."""
    assert access_of("127.0.0.1", None) == ({"MEALKIT_AUTH": "off"}, ())
    file = tmp_path / "keys.txt"
    add_key("one", file)
    variables, (mount,) = access_of("0.0.0.0", file)
    assert variables == {"MEALKIT_KEYS_FILE": mount.target}
    assert mount.source == file
    pages = access_of("127.0.0.1", None, ("https://a.example", "http://b.example"))[0]
    assert pages["MEALKIT_ORIGINS"] == "https://a.example,http://b.example"
    remove_key("one", file)
    with pytest.raises(MealkitError, match="has no key"):
        access_of("127.0.0.1", file)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A FIFO, a device, and a file that is no list of keys are told at once."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"#" * (5 * 1024 * 1024))
    for file in (tmp_path / "fifo", tmp_path / "large", Path("/dev/zero")):
        for call in (
            list_keys,
            lambda file: add_key("one", file),
            lambda file: remove_key("one", file),
        ):
            with pytest.raises(MealkitError) as caught:
                call(file)
            assert caught.value.problems[0].code == "DISK_DENIED"


@pytest.mark.parametrize("comment", ["# {line}", "# vi\udce9lle", "#\u2028", "   "])
def test_a_key_is_removed_whatever_stands_above_it(tmp_path, comment):
    """A comment that quotes it, that is not UTF-8, or that has a separator of its own."""
    file = tmp_path / "keys.txt"
    line = new_key("one")[1].line
    above = comment.format(line=line)
    file.write_bytes(f"{above}\n  {line}\n".encode(errors="surrogateescape"))
    remove_key("one", file)
    assert list_keys(file) == []
    expected = f"{above}\n  #{line[1:]}\n".encode(errors="surrogateescape")
    assert file.read_bytes() == expected

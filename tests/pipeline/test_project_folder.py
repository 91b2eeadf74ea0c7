"""A project's folder is read for an importer: small texts whole, of the rest the sizes, no links."""

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.kit.project_folder import TEXT_BYTES, read_folder


def test_texts_and_others(tmp_path):
    """By their paths; what is no text, or too large, has only its size."""
    for name, data in {
        "a.py": b"x = 1\n",
        "deep/er/b.txt": "süß".encode(),
        "empty": b"",
        "latin": b"s\xfc\xdf",
        "nul": b"a\0b",
        "large.txt": b"x" * (TEXT_BYTES + 1),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = read_folder(tmp_path)
    assert found.texts == {"a.py": "x = 1\n", "deep/er/b.txt": "süß", "empty": ""}
    assert found.others == {"latin": 3, "nul": 3, "large.txt": TEXT_BYTES + 1}


def test_hidden_files_caches_and_links_are_left_alone(tmp_path):
    """A link could lead anywhere, also into itself."""
    (tmp_path / "project" / "__pycache__").mkdir(parents=True)
    (tmp_path / "secret").write_text("hush")
    project = tmp_path / "project"
    (project / "__pycache__" / "a.txt").write_text("")
    (project / ".env").write_text("KEY=hush")
    (project / "out").symlink_to(tmp_path / "secret")
    (project / "round").symlink_to(project)
    assert read_folder(project).texts == {}
    assert read_folder(project).others == {}


def test_a_folder_that_is_none_is_refused(tmp_path):
    """A file, or nothing."""
    (tmp_path / "file").write_text("")
    for name in ("file", "nothing"):
        with pytest.raises(MealkitError, match="there is no folder") as caught:
            read_folder(tmp_path / name)
        assert caught.value.problems[0].code == "USAGE"


def test_a_project_without_end_is_refused(tmp_path):
    """Too deep for any project; no recursion, and nothing read."""
    deep = tmp_path.joinpath(*("d" for _ in range(40)))
    deep.mkdir(parents=True)
    (deep / "a.py").write_text("")
    with pytest.raises(MealkitError, match="levels"):
        read_folder(tmp_path)


def test_no_more_text_is_read_than_a_project_has(tmp_path):
    """Beyond that, files are only counted."""
    for number in range(40):
        (tmp_path / f"{number:02}.txt").write_bytes(b"x" * TEXT_BYTES)
    found = read_folder(tmp_path)
    assert len(found.texts) == 32
    assert len(found.others) == 8

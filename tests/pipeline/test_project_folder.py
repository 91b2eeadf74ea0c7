"""A project's folder is read for an importer: small texts whole, of the rest the sizes."""

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


def test_what_is_not_read_is_named(tmp_path):
    """Hidden files, and links that lead out of the project or nowhere; not what only tools use."""
    project = tmp_path / "project"
    for name in ("__pycache__/a.txt", ".env", ".hydra/config.yaml", ".git/config", ".gitignore"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("KEY=hush")
    (tmp_path / "secret").write_text("hush")
    (project / "out").symlink_to(tmp_path / "secret")
    (project / "far").symlink_to(tmp_path)
    (project / "lost.py").symlink_to("nowhere.py")
    (project / "self").symlink_to("self")
    (project / "round").symlink_to(project)
    found = read_folder(project)
    assert (found.texts, found.others) == ({}, {})
    assert found.skipped == {
        ".env": "a hidden file",
        ".hydra/config.yaml": "a hidden file",
        "out": "a link out of the project",
        "far": "a link out of the project",
        "lost.py": "a link that leads nowhere",
        "self": "a link that leads nowhere",
    }


def test_links_inside_the_project_are_followed(tmp_path):
    """To files and folders, and those that Git wrote as texts where links are not allowed."""
    (tmp_path / "variants").mkdir()
    (tmp_path / "variants" / "small.py").write_text("WORD = 1\n")
    (tmp_path / "settings.py").symlink_to("variants/small.py")
    (tmp_path / "written.py").write_text("variants/small.py")
    (tmp_path / "lib").symlink_to("variants")
    found = read_folder(tmp_path)
    assert found.texts == dict.fromkeys(
        ("variants/small.py", "settings.py", "written.py", "lib/small.py"), "WORD = 1\n"
    )
    assert found.skipped == {}


def test_a_text_in_utf16_and_the_ignore_file_are_read_apart(tmp_path):
    """Neither is a text of the project."""
    (tmp_path / "requirements.txt").write_bytes("six\r\n".encode("utf-16"))
    (tmp_path / ".dockerignore").write_text("*.bin\n")
    found = read_folder(tmp_path)
    assert found.texts == {}
    assert found.utf16 == {"requirements.txt": "six\r\n"}
    assert found.others == {"requirements.txt": 12}
    assert found.ignore == "*.bin\n"


def test_a_folder_that_is_none_is_refused(tmp_path):
    """A file, or nothing."""
    (tmp_path / "file").write_text("")
    for name, said in (("file", "is a file, not a folder"), ("nothing", "there is no folder")):
        with pytest.raises(MealkitError, match=said) as caught:
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

"""Saves in a kit's folder, by editors of all habits."""

import os

from mealkit.pipeline.develop.kit_watch import KitWatch


def test_a_save_is_seen_however_the_editor_saves(tmp_path):
    """In place, by a rename over the file, as a new file, and as a deleted one."""
    handler = tmp_path / "handler.py"
    handler.write_text("one")
    watch = KitWatch(tmp_path)
    assert watch.saved() == ()
    handler.write_text("two")
    assert watch.saved() == ("handler.py",)
    other = tmp_path / ".handler.py.swp"
    other.write_text("six")
    os.utime(other, ns=(handler.stat().st_atime_ns, handler.stat().st_mtime_ns))
    other.replace(handler)
    assert watch.saved() == ("handler.py",)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "words.py").write_text("new")
    assert watch.saved() == ("parts/words.py",)
    handler.unlink()
    assert watch.saved() == ("handler.py",)
    assert watch.saved() == ()


def test_what_editors_and_python_leave_is_no_save(tmp_path):
    """Hidden files, backups and bytecode change nothing, and neither does a link to nothing."""
    watch = KitWatch(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "handler.pyc").write_text("x")
    (tmp_path / "handler.py~").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "gone").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    assert watch.saved() == ()


def test_a_folder_of_data_does_not_slow_the_author_down(tmp_path):
    """Only so many files are looked at; a folder that vanishes is none."""
    for number in range(2100):
        (tmp_path / f"row{number}.txt").touch()
    watch = KitWatch(tmp_path)
    assert watch.saved() == ()
    assert KitWatch(tmp_path / "missing").saved() == ()


def test_thousands_of_files_do_not_hide_those_that_the_kit_names(tmp_path):
    """A save of the handler is seen, wherever the folder's data lies."""
    (tmp_path / "data").mkdir()
    (tmp_path / "prompts").mkdir()
    for number in range(2100):
        (tmp_path / f"row{number}.txt").touch()
        (tmp_path / "data" / f"row{number}.txt").touch()
    named = {"handler.py", "prompts/system.jinja", "prompts/missing.jinja"}
    for name in ("handler.py", "prompts/system.jinja"):
        (tmp_path / name).write_text("one")
    watch = KitWatch(tmp_path, named)
    for name in ("handler.py", "prompts/system.jinja", "prompts/missing.jinja"):
        (tmp_path / name).write_text("another")
        assert watch.saved() == (name,)
    (tmp_path / "handler.py").unlink()
    assert "handler.py" in watch.saved()

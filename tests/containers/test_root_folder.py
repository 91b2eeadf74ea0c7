"""A folder is changed as if it were the root, and nothing outside of it is touched."""

import os

import pytest

from mealkit.containers.root_folder import MAX_DEPTH, RootFolder, delete_tree
from mealkit.oci.untar import EntryError


@pytest.fixture
def folder(tmp_path):
    """A folder with a neighbour that must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (tmp_path / "root").mkdir()
    yield tmp_path / "root"
    assert (tmp_path / "outside" / "kept").read_text() == "kept"
    assert os.listdir(tmp_path / "outside") == ["kept"]  # noqa: PTH208


@pytest.fixture
def root(folder):
    """The folder, open as a root."""
    opened = RootFolder(folder)
    yield opened
    opened.close()


def write(root, *parts, data=b"x"):
    root.enter(parts[:-1], make=True)
    descriptor = root.make_file(parts[-1])
    os.write(descriptor, data)
    os.close(descriptor)


def test_folders_on_the_way_are_made_only_if_asked_for(root, folder):
    """Otherwise the path leads nowhere."""
    with pytest.raises(EntryError, match="does not exist"):
        root.enter([b"a", b"b"], make=False)
    write(root, b"a", b"b", b"c")
    assert (folder / "a/b/c").read_bytes() == b"x"


@pytest.mark.parametrize(
    "target", ["/", "/..", "../../..", "..", ".", "/x/../..", "../outside/../../.."]
)
def test_links_are_walked_inside_the_root(root, folder, target):
    """The root is its own parent, and an absolute link begins there."""
    (folder / "x").mkdir()
    (folder / "link").symlink_to(target)
    if "outside" in target:
        (folder / "outside").mkdir()
    write(root, b"link", b"new")
    assert (folder / "new").read_bytes() == b"x"


def test_a_link_to_a_folder_outside_leads_to_one_inside(root, folder, tmp_path):
    """Of the same path, which is made."""
    (folder / "link").symlink_to(tmp_path / "outside")
    write(root, b"link", b"kept", data=b"other")
    inside = folder / str(tmp_path / "outside").lstrip("/") / "kept"
    assert inside.read_bytes() == b"other"


def test_links_in_a_circle_end(root, folder):
    """They are not walked for ever."""
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(EntryError, match="loop of links"):
        root.enter([b"a"], make=True)


def test_a_file_is_no_folder(root):
    """What is below it cannot be."""
    write(root, b"file")
    with pytest.raises(EntryError, match="below something that is not a folder"):
        root.enter([b"file", b"x"], make=True)


def test_folders_lie_in_each_other_only_so_deep(root):
    """Deeper ones could not be deleted again."""
    root.enter([b"d"] * (MAX_DEPTH - 1), make=True)
    with pytest.raises(EntryError, match="is deeper than"):
        root.enter([b"d"] * MAX_DEPTH, make=True)


def test_files_and_folders_are_counted(folder):
    """Also those that replace each other."""
    root = RootFolder(folder, max_nodes=2)
    write(root, b"a")
    write(root, b"a")
    with pytest.raises(EntryError, match="more than 2"):
        write(root, b"a")
    root.close()


def test_what_is_made_replaces_what_is_there(root, folder, tmp_path):
    """A link is replaced, not followed; a folder goes with all that is in it."""
    (folder / "link").symlink_to(tmp_path / "outside" / "kept")
    write(root, b"link", data=b"new")
    assert not (folder / "link").is_symlink()
    write(root, b"tree", b"deep", b"file")
    root.enter([], make=False)
    root.make_symlink(b"tree", b"/nowhere")
    assert (folder / "tree").is_symlink()
    root.make_folder(b"tree")
    assert (folder / "tree").is_dir()
    write(root, b"tree", b"file")
    root.enter([], make=False)
    root.make_folder(b"tree")
    assert (folder / "tree/file").exists()


def test_a_second_name_is_given_to_files_and_links_only(root, folder):
    """A folder has one, and what is not there has none."""
    write(root, b"a", b"file")
    root.make_hardlink([b"b", b"name"], [b"a", b"file"])
    assert (folder / "b/name").samefile(folder / "a/file")
    for aim in ([b"a"], [b"none"]):
        with pytest.raises(EntryError, match="not a file"):
            root.make_hardlink([b"c"], aim)


def test_what_is_fresh_is_not_hidden(root, folder):
    """A whiteout is about lower layers, wherever it stands in its own."""
    write(root, b"a", b"old")
    write(root, b"a", b"new")
    root.start_layer()
    write(root, b"a", b"new")
    root.place(b"new")
    root.enter([b"a"], make=False)
    root.hide_all()
    assert [path.name for path in (folder / "a").iterdir()] == ["new"]
    root.start_layer()
    root.enter([], make=False)
    root.hide(b"a")
    assert list(folder.iterdir()) == []


def test_a_tree_is_deleted_without_following_links(root, folder, tmp_path):
    """A name that is not there is none to delete."""
    write(root, b"tree", b"deep", b"file")
    (folder / "tree/link").symlink_to(tmp_path / "outside")
    delete_tree(root.opened, b"tree")
    delete_tree(root.opened, b"tree")
    assert list(folder.iterdir()) == []

"""Layers of strangers: nothing outside the root is touched, and nothing of a failure stays."""

import gzip
import os
import resource
import stat
import subprocess
import sys

import pytest
from fakes.peak import PEAK_KIB
from fakes.tars import END, block, entry, layer_of_bytes, packed_zeros, pax

from mealkit.containers.root import unpack_root
from mealkit.containers.root_folder import RootFolder, delete_tree
from mealkit.errors import StoreError
from mealkit.oci.descriptor import LAYER, LAYER_GZIP
from mealkit.oci.untar import EntryError


def unpacked(folder, *tars, **fields):
    layers = [layer_of_bytes(data + END, **fields) for data in tars]
    return unpack_root(layers, folder / "roots" / "one")


def problem_of(folder, *tars, **fields):
    with pytest.raises(StoreError) as error:
        unpacked(folder, *tars, **fields)
    return error.value.problems[0]


@pytest.fixture
def home(tmp_path):
    """A home with another root and a file beside it, all of which must stay."""
    other = tmp_path / "roots" / "other"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "kept").write_text("kept")
    (tmp_path / "kept").write_text("kept")
    return tmp_path


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


BEFORE = ["kept", "roots", "roots/other", "roots/other/sub", "roots/other/sub/kept"]


@pytest.mark.parametrize(
    "name",
    [
        b".wh...",
        b".wh..",
        b".wh.",
        b".wh./",
        b".wh.//",
        b"./.wh...",
        b"/.wh...",
        b"//.wh...",
        b"a/.wh...",
        b"a/b/.wh...",
        b"./a/./.wh...",
        b"a/.wh..",
        b"a/.wh.",
        b"up/.wh...",
        b"../.wh.other",
        b"a/../.wh.other",
        b".wh.a/x",
        b".wh.a/.wh..wh..opq",
        b".wh.../.wh.x",
        b".wh..wh..opq/../../.wh.other",
    ],
)
@pytest.mark.parametrize("kind", [b"0", b"5", b"2", b"6"])
def test_a_whiteout_only_names_what_is_in_its_folder(home, name, kind):
    """A whiteout of "..", "." or nothing, however it is spelt, is refused and deletes nothing."""
    lower = entry(b"a/b/x", b"1") + block(b"up", 0, b"2", target=b"..")
    found = problem_of(home, lower, entry(name, b"", kind, target=b".."))
    assert found.code == "IMAGE_INVALID"
    assert everything(home) == BEFORE


@pytest.mark.parametrize("aim", [b"..", b"../..", b"/", b"../../../../..", b"up", b"b/../../.."])
def test_whiteouts_through_links_stay_inside(home, aim):
    """A link out of the root is walked inside it: other roots and the home stay as they are."""
    links = block(b"up", 0, b"2", target=b"../other") + block(b"out", 0, b"2", target=aim)
    marks = b"".join(
        entry(b"out/" + name)
        for name in (b".wh.other", b".wh.kept", b"sub/.wh.kept", b".wh..wh..opq", b".wh.roots")
    )
    made = unpacked(home, entry(b"x", b"1"), links + marks)
    made.joinpath("out")
    kept = [name for name in everything(home) if not name.startswith("roots/one")]
    assert kept == BEFORE


@pytest.mark.parametrize(
    "name",
    [b".wh..wh.plnk", b".wh..wh.plnk/1.2", b".wh..wh.aufs", b".wh..wh..opq.x", b"a/.wh..wh.orph/x"],
)
def test_what_concerns_aufs_is_passed_over(home, name):
    """Old layers have such names; they are neither whiteouts nor files."""
    made = unpacked(home, entry(b"a/x", b"1"), entry(name, b"data"))
    assert (made / "a/x").read_text() == "1"
    assert not any(".wh." in path for path in everything(made))


@pytest.mark.parametrize("name", [b"..", b"a/..", b"../x", b"/../x", b"a/b/../../../x", b"./../x"])
@pytest.mark.parametrize("kind", [b"0", b"1", b"2", b"5"])
def test_paths_that_climb_are_refused(home, name, kind):
    """Whatever the entry is."""
    found = problem_of(home, entry(b"t", b"1") + entry(name, b"", kind, target=b"t"))
    assert (found.code, everything(home)) == ("IMAGE_INVALID", BEFORE)


@pytest.mark.parametrize(
    ("links", "aim"),
    [
        (b"", b"../../kept"),
        (b"", b"/../kept"),
        (b"", b".."),
        (b"", b""),
        (b"", b"/"),
        (b"", b"folder"),
        (b"", b"hard"),
        (b"", b"nothing"),
        (b"", b"no/folder/x"),
        (block(b"up", 0, b"2", target=b"../.."), b"up/kept"),
        (block(b"up", 0, b"2", target=b"/proc/self/root"), b"up/etc/passwd"),
    ],
)
def test_hard_links_only_lead_to_files_inside(home, links, aim):
    """Not outside, not through a link that leads outside, not to folders, and not to themselves."""
    tar = entry(b"folder/", b"", b"5") + links + block(b"hard", 0, b"1", target=aim)
    found = problem_of(home, tar)
    assert (found.code, everything(home)) == ("IMAGE_INVALID", BEFORE)


def test_a_hard_link_to_a_link_is_the_link(home):
    """And writing to its name replaces it: what the link leads to is not written to."""
    made = unpacked(
        home,
        block(b"soft", 0, b"2", target=b"../../kept") + block(b"hard", 0, b"1", target=b"soft"),
        entry(b"hard", b"new") + entry(b"soft", b"new"),
    )
    assert not (made / "hard").is_symlink()
    assert (home / "kept").read_text() == "kept"


def test_a_name_that_was_a_link_is_replaced(home):
    """A folder that becomes a link between two of its entries is walked anew for each of them."""
    tar = (
        entry(b"a/", b"", b"5")
        + entry(b"a/one", b"1")
        + block(b"a", 0, b"2", target=b"../other")
        + entry(b"a/two", b"2")
        + block(b"a", 0, b"2", target=b"/b")
        + entry(b"a/three", b"3")
    )
    made = unpacked(home, tar)
    assert (made / "b/three").read_text() == "3"
    kept = [name for name in everything(home) if not name.startswith("roots/one")]
    assert kept == BEFORE


def test_an_entry_below_a_file_is_refused(home):
    """A file is no folder, and is not deleted for what claims to be in it."""
    assert problem_of(home, entry(b"a", b"1"), entry(b"a/b", b"2")).code == "IMAGE_INVALID"
    assert problem_of(home, entry(b"a", b"1"), entry(b"a/.wh.b")).code == "IMAGE_INVALID"
    assert everything(home) == BEFORE


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"8", b"V", b"M", b"X", b"S"])
def test_special_files_are_refused(home, kind):
    """Devices, FIFOs, and kinds that no reader of layers knows."""
    assert problem_of(home, entry(b"x", b"", kind)).code == "IMAGE_INVALID"
    assert everything(home) == BEFORE


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[2Jx", b"\xff\xfe", b"\xed\xa0\x80", b" ", b"-rf"])
def test_odd_names_are_names(home, name):
    """A name may have any bytes but zero and slash; a message shows it on one line."""
    made = unpacked(home, entry(name, b"1"))
    assert [path for path in made.iterdir() if os.fsencode(path.name) == name]
    message = problem_of(home / "again", entry(name + b"/../..", b"1")).message
    assert message.isprintable()


def test_deep_paths_are_refused(home):
    """A tree that could not be deleted again is not made, be it by entries or through links."""
    deep = pax(("path", b"/".join([b"d"] * 127)))
    assert unpacked(home, deep + entry(b"x", b"1")).is_dir()
    delete_tree_at(home / "roots", b"one")
    for tar in (
        pax(("path", b"/".join([b"d"] * 1000))) + entry(b"x"),
        b"".join(
            block(b"l%d" % number, 0, b"2", target=b"/".join([b"l%d" % (number + 1), *[b"d"] * 40]))
            for number in range(4)
        )
        + entry(b"l0/x"),
    ):
        assert problem_of(home, tar).code == "IMAGE_INVALID"
    assert everything(home) == BEFORE


def test_a_part_that_is_too_long_is_refused(home):
    """Before the disk has to say so."""
    assert problem_of(home, pax(("path", b"n" * 256)) + entry(b"x")).code == "IMAGE_INVALID"


def delete_tree_at(folder, name):
    opened = os.open(folder, os.O_RDONLY)
    try:
        delete_tree(opened, name)
    finally:
        os.close(opened)


def test_links_without_end_and_very_long_walks_are_refused(home):
    """A loop, and links of thousands of steps each."""
    loop = block(b"a", 0, b"2", target=b"b") + block(b"b", 0, b"2", target=b"a")
    long = pax(("linkpath", b"./" * 2000)) + block(b"w", 0, b"2")
    for tar in (loop + entry(b"a/x"), long + pax(("path", b"w/w/w/x")) + entry(b"x")):
        assert problem_of(home, tar).code == "IMAGE_INVALID"
    assert everything(home) == BEFORE


def test_modes_and_owners_of_strangers_are_harmless(home):
    """Set-uid bits go, and a folder that its owner may not enter can still be deleted."""
    made = unpacked(
        home,
        entry(b"su", b"1", mode=b"0006777\0")
        + entry(b"closed/", b"", b"5", mode=b"0000000\0")
        + entry(b"closed/x", b"1", mode=b"0000000\0"),
    )
    assert stat.S_IMODE((made / "su").stat().st_mode) == 0o777
    assert stat.S_IMODE((made / "closed").stat().st_mode) == 0o700
    delete_tree_at(home / "roots", b"one")
    assert everything(home) == BEFORE


def test_a_layer_that_is_not_its_diff_id_is_refused(home):
    """For gzip and for plain tar: what the config says of a layer is what is unpacked."""
    tar = entry(b"x", b"1") + END
    for data, media_type in ((tar, LAYER), (gzip.compress(tar), LAYER_GZIP)):
        layer = layer_of_bytes(data, media_type, b"something else")
        with pytest.raises(StoreError) as error:
            unpack_root([layer], home / "roots" / "one")
        assert error.value.problems[0].code == "IMAGE_INVALID"
        assert "diff id" in error.value.problems[0].message
    assert everything(home) == BEFORE


def test_gzip_under_a_tar_media_type_is_refused(home):
    """No reader guesses a compression: the media type decides."""
    layer = layer_of_bytes(gzip.compress(entry(b"x") + END), LAYER)
    with pytest.raises(StoreError, match="it is gzip, not the tar"):
        unpack_root([layer], home / "roots" / "one")


def test_what_unpacks_to_far_too_much_is_refused(home):
    """Zeros after the end of the tar, which no file on the disk would show, count too."""
    data = packed_zeros(300 << 20, entry(b"x", b"1") + END)
    with pytest.raises(StoreError, match="decompresses to more than"):
        unpack_root([layer_of_bytes(data, LAYER_GZIP, b"")], home / "roots" / "one")
    assert everything(home) == BEFORE


def test_space_is_asked_for_before_a_file_is_written(home):
    """A file that states petabytes ends with what is needed and free, and not one byte of it."""
    stated = pax(("size", b"%d" % (1 << 60)))
    found = problem_of(home, stated + block(b"big"))
    assert found.code == "DISK_FULL"
    assert "1048576.0 TiB" in found.message
    assert everything(home) == BEFORE


def test_space_is_asked_for_before_the_first_layer(home):
    """What the layers take is known before any of them is read."""

    class Huge:
        digest, size_bytes = layer_of_bytes(b"").blob.digest, 1 << 60

        def chunks(self, offset=0, length=None):
            raise AssertionError

    with pytest.raises(StoreError) as error:
        unpack_root([root_layer(Huge())], home / "roots" / "one")
    assert error.value.problems[0].code == "DISK_FULL"
    assert everything(home) == BEFORE


def root_layer(blob):
    from dataclasses import replace  # noqa: PLC0415

    return replace(layer_of_bytes(b""), blob=blob)


def test_files_and_folders_are_counted(home):
    """Also the folders that no entry names: a path of few bytes makes many of them."""
    (home / "root").mkdir()
    root = RootFolder(home / "root", max_nodes=100)
    try:
        for number in range(2):
            root.enter([b"%d" % number, *[b"d"] * 40], make=True)
        with pytest.raises(EntryError, match="more than 100 files and folders"):
            root.enter([b"2", *[b"d"] * 40], make=True)
    finally:
        root.close()


def test_another_process_that_swaps_a_folder_for_a_link_gains_nothing(home):
    """A folder is entered by its name in an open one, and a link there is walked inside."""
    (home / "root").mkdir()
    root = RootFolder(home / "root")
    try:
        root.enter([b"a"], make=True)
        (home / "root/a").rename(home / "root/moved")
        (home / "root/a").symlink_to(home / "roots/other")
        os.close(root.make_file(b"first"))
        root.enter([], make=True)
        root.enter([b"a", b"sub"], make=True)
        root.hide_all()
        os.close(root.make_file(b"second"))
    finally:
        root.close()
    assert (home / "root/moved/first").is_file()
    assert [name for name in everything(home) if not name.startswith("root/")] == [
        "kept",
        "root",
        *BEFORE[1:],
    ]


MANY = (
    PEAK_KIB
    + """
import sys
from pathlib import Path
from fakes.tars import END, entry, layer_of_bytes
from mealkit.containers.root import unpack_root
def unpack(name, *tars):
    unpack_root([layer_of_bytes(data + END) for data in tars], Path(sys.argv[1], name))
unpack("warm", entry(b"x"))
before = peak_kib()
names = [b"n%05d" % number + b"x" * 60 for number in range(20_000)]
wide = b"".join(entry(b"d/" + name) for name in names)
marks = entry(b"d/.wh..wh..opq") * 20_000 + entry(b".wh.d") * 20_000
unpack("marks", wide, wide + marks)
unpack("same", entry(b"x", b"1") * 20_000)
unpack("hidden", wide, entry(b".wh.d"))
print((peak_kib() - before) // 1024)
"""
)


def test_whiteouts_of_wide_folders_are_linear_work(home):
    """A marker that is repeated lists its folder once: 400 million deletions otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", MANY, home / "many"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": "tests"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (60, 60)),
    )
    assert int(done.stdout) < 250  # the tars themselves are 100 MB

"""The free space of folders."""

from mealkit.preflight.facts import read_facts


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path):
    """Free space is that of the nearest folder that exists."""
    missing = tmp_path / "a" / "b"
    (disk,) = read_facts((missing,)).disks
    assert disk.path == missing
    assert 0 < disk.free_bytes <= disk.total_bytes


def test_disk_that_cannot_be_read(tmp_path):
    """A path that leads nowhere has unknown space, and a reason."""
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (disk,) = read_facts((loop,)).disks
    assert (disk.free_bytes, disk.total_bytes) == (None, None)
    assert "symbolic links" in disk.unknown["free_bytes"]

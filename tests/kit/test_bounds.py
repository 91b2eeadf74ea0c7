"""A kit reads its own folder, and what the caller allowed; what it takes is bounded."""

import os
import threading
from pathlib import Path

import pytest

from mealkit.errors import KitError
from mealkit.kit.bounds import Bounds, OutsideError
from mealkit.kit.load import load_kit
from mealkit.untrusted import UntrustedError


def _problems(folder, **options):
    with pytest.raises(KitError) as caught:
        load_kit(folder, **options)
    return caught.value.problems


def _with_path(good, path):
    return good.replace("path: graph", f"path: {path}")


@pytest.mark.parametrize("path", ["../other", "~/.ssh", "/etc", "graph/../../other", "link", "a/b"])
def test_a_folder_source_outside_is_refused_with_the_option_that_allows_it(
    path, write_kit, good, tmp_path, monkeypatch
):
    """By its path, from the caller's home, through a link, or through a link on the way."""
    monkeypatch.setenv("HOME", str(tmp_path / "someone"))
    folder = write_kit(_with_path(good, path))
    (tmp_path / "other" / "b").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "a").symlink_to(tmp_path / "other")
    (found,) = _problems(folder)
    assert found.code == "KIT_PATH_OUTSIDE"
    assert found.where.startswith(f"{folder}/kit.yaml:")
    target = found.message.partition("points to ")[2].partition(",")[0]
    assert f"--allow-folder {target}" in found.hint
    assert load_kit(folder, allowed=[Path(target)]).kit.name == "tiny"


def test_a_mirror_and_a_base_outside_are_refused(write_kit, good, tmp_path):
    """Every place of a kit counts, not only the first one of its weights."""
    text = good.replace(
        '{source: wheel, package: tiny, version: "1", prefix: tiny/model}',
        "{source: folder, path: /srv/models}",
    ).replace("{source: debian, suite: trixie}", "{source: image, reference: 'oci:../base'}")
    found = _problems(write_kit(text))
    assert [item.code for item in found] == ["KIT_PATH_OUTSIDE"] * 2
    assert "mirrors[0].path: /srv/models" in found[0].message
    assert f"runtime.base.reference: ../base points to {tmp_path}/base" in found[1].message
    archive = good.replace(
        "{source: debian, suite: trixie}", "{source: image, reference: 'oci-archive:/srv/b.tar'}"
    )
    (found,) = _problems(write_kit(archive))
    assert "--allow-folder /srv" in found.hint


def test_a_kit_yaml_that_is_a_link_out_is_not_read(write_kit, good, tmp_path):
    """Its text would stand in the problems."""
    folder = write_kit(good)
    (tmp_path / "private").write_text("a: b: c\n")
    (folder / "kit.yaml").unlink()
    (folder / "kit.yaml").symlink_to(tmp_path / "private")
    for path in (folder, folder / "kit.yaml"):
        (found,) = _problems(path)
        assert found.code == "KIT_PATH_OUTSIDE"


@pytest.mark.parametrize("name", ["kit.yaml", "prompts/query.jinja", "lib/a.py", "wheels/a.whl"])
def test_no_file_of_a_kit_is_waited_for(name, write_kit, good):
    """A FIFO in the place of any file is told, not opened."""
    folder = write_kit(
        good.replace(
            "  requirements:", "  code: [lib/a.py]\n  wheels: [wheels/a.whl]\n  requirements:"
        )
    )
    for item in ("lib/a.py", "wheels/a.whl"):
        (folder / item).parent.mkdir()
        (folder / item).write_text("")
    (folder / name).unlink()
    os.mkfifo(folder / name)
    (found,) = _problems(folder)
    assert found.code in {"KIT_NOT_FOUND", "KIT_FILE_MISSING"}


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/tty", "/proc/kmsg", "/proc/self/environ"])
def test_devices_and_files_of_the_kernel_are_outside(target, write_kit, good):
    """They are not opened either."""
    folder = write_kit(good.replace("  requirements:", "  code: ['*.py']\n  requirements:"))
    (folder / "a.py").symlink_to(target)
    codes = {item.code for item in _problems(folder)}
    assert codes <= {"KIT_PATH_OUTSIDE", "KIT_FILE_MISSING"}


def test_a_file_that_is_swapped_for_a_link_is_judged_by_what_is_read(tmp_path):
    """The file is held first, and then its place is looked at: there is no moment in between."""
    inside, outside = tmp_path / "kit", tmp_path / "secret"
    inside.mkdir()
    outside.write_text("secret")
    bounds, stop = Bounds.of(inside), threading.Event()

    def swap():
        while not stop.is_set():
            for make in (
                lambda path: path.write_text("open"),
                lambda path: path.symlink_to(outside),
            ):
                make(inside / "new")
                (inside / "new").replace(inside / "file")

    (inside / "file").write_text("open")
    thread = threading.Thread(target=swap)
    thread.start()
    try:
        seen = set()
        for _ in range(3000):
            try:
                seen.add(bounds.read(inside / "file", 100))
            except OutsideError:
                seen.add(b"refused")
    finally:
        stop.set()
        thread.join()
    assert b"secret" not in seen
    assert seen >= {b"refused"}


def test_a_link_inside_an_allowed_folder_is_followed(tmp_path):
    """As the caches of the Hub have them: snapshots that link to blobs."""
    cache = tmp_path / "cache"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots" / "1").mkdir(parents=True)
    (cache / "blobs" / "x").write_text("weights")
    (cache / "snapshots" / "1" / "w").symlink_to("../../blobs/x")
    assert Bounds.of(tmp_path / "kit", [cache]).read(cache / "snapshots/1/w", 10) == b"weights"
    with pytest.raises(OutsideError):
        Bounds.of(tmp_path / "kit", [cache / "snapshots"]).read(cache / "snapshots/1/w", 10)


def test_a_folder_with_a_similar_name_is_outside(tmp_path):
    """Paths are compared part by part."""
    (tmp_path / "kit-other").mkdir()
    (tmp_path / "kit-other" / "a").write_text("")
    with pytest.raises(OutsideError):
        Bounds.of(tmp_path / "kit").read(tmp_path / "kit-other" / "a", 1)


def test_only_regular_files_are_held(tmp_path):
    """A folder is no file."""
    with pytest.raises(UntrustedError, match="not a regular file"):
        Bounds.of(tmp_path).read(tmp_path, 1)

"""A kit's own wheels are known by their names and bytes, and shown to uv alone."""

import pytest
from fakes.wheels import write_wheel

from mealkit.digest import digest_of_file
from mealkit.errors import MealkitError
from mealkit.sources.local_wheels import links_to, local_wheels, pins_of


def test_wheels_are_found_in_files_and_folders(tmp_path):
    """Sorted by name, each once, with other files passed over."""
    b = write_wheel(tmp_path / "wheels", "b", {})
    a = write_wheel(tmp_path, "A_Package", {}, version="2.0")
    (tmp_path / "wheels" / "notes.txt").write_text("")
    found = local_wheels([tmp_path / "wheels", a, b])
    assert [(item.name, item.version) for item in found] == [("a-package", "2.0"), ("b", "1.0")]
    assert [item.digest for item in found] == [digest_of_file(path) for path in (a, b)]


@pytest.mark.parametrize(
    "name", ["a.whl", "a-1.whl", "a-x-py3-none-any.whl", "é-1-py3-none-any.whl", "a\nb.whl"]
)
def test_a_name_that_says_nothing_is_refused(tmp_path, name):
    """It decides which Python and platform the wheel is for."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(MealkitError, match="WHEEL_INVALID") as caught:
        local_wheels([tmp_path / name])
    assert caught.value.problems[0].message.isprintable()


def test_what_is_missing_or_no_file_is_refused(tmp_path):
    """A folder with the name of a wheel in a folder of wheels, and a path without anything."""
    with pytest.raises(MealkitError, match="KIT_FILE_MISSING"):
        local_wheels([tmp_path / "none"])
    (tmp_path / "wheels" / "a-1-py3-none-any.whl").mkdir(parents=True)
    with pytest.raises(MealkitError, match="WHEEL_INVALID"):
        local_wheels([tmp_path / "wheels"])


def test_uv_is_shown_the_wheels_and_nothing_beside_them(tmp_path):
    """The folder is gone afterwards; without wheels there is none."""
    wheel = write_wheel(tmp_path / "wheels", "a", {})
    (tmp_path / "wheels" / "secret").write_text("")
    with links_to(local_wheels([wheel])) as folder:
        assert [path.name for path in folder.iterdir()] == [wheel.name]
        assert (folder / wheel.name).read_bytes() == wheel.read_bytes()
    assert not folder.exists()
    with links_to([]) as folder:
        assert folder is None


def test_a_package_is_pinned_where_there_is_one_version(tmp_path):
    """Of two versions the requirements decide; of two platforms one version is left."""
    for name, version, tag in [
        ("a", "1.0", "py3-none-any"),
        ("b", "1.0", "py3-none-any"),
        ("b", "2.0", "py3-none-any"),
        ("c", "1.0", "cp313-cp313-linux_x86_64"),
        ("c", "1.0", "cp313-cp313-linux_aarch64"),
    ]:
        write_wheel(tmp_path, name, {}, version=version, tag=tag)
    assert pins_of(local_wheels([tmp_path])) == ("a==1.0", "c==1.0")

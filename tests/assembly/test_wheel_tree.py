"""Wheels become one package tree: a function of their bytes alone."""

import zipfile

import pytest
from fakes.wheels import write_wheel

from mealkit.assembly.wheel_tree import wheel_tree
from mealkit.errors import BuildError


def _tree(*paths):
    return wheel_tree([(path.name, path) for path in paths])


def _bytes(member):
    return b"".join(member.chunks())


def test_members_go_where_the_wheel_format_says(tmp_path):
    """Purelib, platlib and data land in the tree; scripts and headers are left out."""
    wheel = write_wheel(
        tmp_path,
        "pack",
        {
            "pack/__init__.py": b"one = 1\n",
            "pack-1.0.data/purelib/pack/pure.py": b"two = 2\n",
            "pack-1.0.data/platlib/pack/plat.so": b"\x7fELF",
            "pack-1.0.data/data/share/pack.txt": b"text",
            "pack-1.0.data/scripts/pack": b"#!python\n",
            "pack-1.0.data/headers/pack.h": b"int x;\n",
            "pack/__pycache__/x.cpython-313.pyc": b"\0",
        },
        executable=("pack-1.0.data/platlib/pack/plat.so",),
    )

    tree = {member.path: member for member in _tree(wheel)}

    assert [path for path in tree if ".dist-info" not in path] == [
        "pack/__init__.py",
        "pack/plat.so",
        "pack/pure.py",
        "share/pack.txt",
    ]
    assert _bytes(tree["pack/pure.py"]) == b"two = 2\n"
    assert tree["pack/plat.so"].executable
    assert not tree["pack/pure.py"].executable


def test_the_order_of_wheels_does_not_matter(tmp_path):
    """Two orders of the same wheels give the same tree."""
    one = write_wheel(tmp_path, "one", {"space/one.py": b"1\n", "space/shared.py": b"\n"})
    two = write_wheel(tmp_path, "two", {"space/two.py": b"2\n", "space/shared.py": b"\n"})

    forward = [(member.path, _bytes(member)) for member in _tree(one, two)]

    assert forward == [(member.path, _bytes(member)) for member in _tree(two, one)]


def test_wheels_that_disagree_are_refused(tmp_path):
    """Two wheels with different bytes for one file cannot share a tree."""
    one = write_wheel(tmp_path, "one", {"space.py": b"1\n"})
    two = write_wheel(tmp_path, "two", {"space.py": b"2\n"})

    with pytest.raises(BuildError, match=r"space.py is also in one-1.0-py3-none-any.whl"):
        _tree(one, two)


@pytest.mark.parametrize("path", ["../out.py", "/out.py", "a/../../out.py", "a\\b.py"])
def test_members_that_lead_outside_are_refused(tmp_path, path):
    """A wheel cannot place a file outside its tree."""
    wheel = write_wheel(tmp_path, "bad", {path: b""})

    with pytest.raises(BuildError, match="is not allowed"):
        _tree(wheel)


def test_bytes_that_record_contradicts_are_refused(tmp_path):
    """A member whose bytes are not those of RECORD is refused once it is read."""
    wheel = write_wheel(tmp_path, "bad", {"bad.py": b"1\n"}, record={"bad.py": b"2\n"})

    member = next(member for member in _tree(wheel) if member.path == "bad.py")

    with pytest.raises(BuildError, match="RECORD states"):
        _bytes(member)


def test_a_flipped_byte_is_refused(tmp_path):
    """A damaged archive gives a problem that names the wheel, never other bytes."""
    wheel = write_wheel(tmp_path, "bad", {"bad.py": bytes(range(256)) * 64})
    data = bytearray(wheel.read_bytes())
    data[60] ^= 0xFF
    wheel.write_bytes(data)

    with pytest.raises(BuildError) as caught:
        [_bytes(member) for member in _tree(wheel)]

    assert caught.value.problems[0].where == wheel.name


def test_what_is_no_wheel_is_refused(tmp_path):
    """Any other file is a problem."""
    path = tmp_path / "no-1.0-py3-none-any.whl"
    path.write_bytes(b"nothing of the kind")

    with pytest.raises(BuildError, match="cannot be unpacked"):
        _tree(path)


def test_a_wheel_behind_another_file_is_refused(tmp_path):
    """What begins as another format is not a wheel, though zip readers would find one in it."""
    wheel = write_wheel(tmp_path, "good", {"good.py": b"1\n"})
    other = tmp_path / "good-1.0-py3-none-any.deb"
    other.write_bytes(b"!<arch>\n" + wheel.read_bytes())
    with pytest.raises(BuildError, match="does not start like a wheel"):
        wheel_tree([(wheel.name, other)])


@pytest.mark.parametrize(
    "member",
    ["a\nRUN id.py", "a\rb.py", "a\x1b[2Jb.py", "a\u202eb.py", "a\u2028b.py", "x" * 300, "."],
)
def test_members_that_no_path_can_be_are_refused(tmp_path, member):
    """A line break in a member's name would be a line of the rendered Dockerfile's checksums."""
    wheel = write_wheel(tmp_path, "pack", {"pack.py": b""})
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(member, b"")
    with pytest.raises(BuildError, match="WHEEL_INVALID"):
        _tree(wheel)


def test_a_file_that_another_wheel_needs_as_a_folder_is_refused(tmp_path):
    """Two wheels that cannot both be unpacked are WHEEL_INVALID, not half a tree."""
    one = write_wheel(tmp_path, "one", {"space": b""})
    two = write_wheel(tmp_path, "two", {"space/two.py": b""})
    with pytest.raises(BuildError, match="conflicts with"):
        _tree(one, two)


@pytest.mark.parametrize("record", [b"\xff\xfe", b'"' + b"x" * 200_000, b"\0", b'a,"sha256=b\nc'])
def test_a_record_that_is_none_is_refused_or_says_nothing(tmp_path, record):
    """Bytes that are not UTF-8, and fields without end."""
    wheel = tmp_path / "pack-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pack.py", b"")
        archive.writestr("pack-1.0.dist-info/RECORD", record)
    try:
        tree = _tree(wheel)
    except BuildError as error:
        assert error.problems[0].code == "WHEEL_INVALID"  # noqa: PT017
    else:
        assert all(item.record_sha256 is None for item in tree)

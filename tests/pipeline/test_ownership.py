"""mealkit's home is its user's own: others neither change it nor look into it."""

import grp
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mealkit.errors import MealkitError
from mealkit.pipeline.home import home_at
from mealkit.pipeline.ownership import make_own, require_own

OTHER = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")


@pytest.fixture
def place():
    """A folder whose way every user may go, unlike that of pytest's own."""
    with tempfile.TemporaryDirectory(prefix="mealkit-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def _refused(call, *arguments, **options):
    with pytest.raises(MealkitError) as caught:
        call(*arguments, **options)
    (found,) = caught.value.problems
    assert found.code == "HOME_UNSAFE"
    return found


def _as_user(user, call):
    """Call in a process of another user; return what it wrote of a problem, or nothing."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            call()
        except MealkitError as error:
            os.write(writer, f"{error}\n{error.problems[0].hint}".encode())
        except BaseException as error:  # noqa: BLE001  the test is told
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def test_a_home_is_made_for_its_user_alone(place):
    """Others of the machine see neither weights nor images nor logs."""
    before = os.umask(0o000)
    try:
        home = home_at(place / "a" / "home")
    finally:
        os.umask(before)
    assert _mode(home.root) == _mode(home.root.parent) == 0o700


def test_an_open_home_is_closed(place):
    """It was made before, by an older version or by hand; what is in it stays as it is."""
    (place / "home").mkdir(mode=0o755)
    (place / "home" / "file").write_text("weights")
    (place / "home" / "file").chmod(0o444)
    home_at(place / "home")
    assert _mode(place / "home") == 0o700
    assert _mode(place / "home" / "file") == 0o444


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o1777, 0o722])
def test_a_home_that_others_may_write_to_is_refused(mode, place):
    """Something of theirs may lie in it already; the problem says the command."""
    (place / "home").mkdir()
    (place / "home").chmod(mode)
    found = _refused(home_at, place / "home")
    assert f"chmod go-w {place}/home" in found.hint
    assert _mode(place / "home") == mode


def test_a_folder_above_that_others_may_write_to_is_refused(place):
    """They could put another home in its place; where they can only add, they cannot."""
    (place / "above").mkdir()
    (place / "above").chmod(0o777)
    found = _refused(home_at, place / "above" / "home")
    assert f"{place}/above can be written to by others (mode 0777)" in found.message
    (place / "above").chmod(0o1777)
    home_at(place / "above" / "home")


@as_root
def test_a_home_of_another_user_is_refused(place):
    """Root with the home of another user, as under sudo and in many CIs, is told what to do."""
    (place / "home").mkdir()
    os.chown(place / "home", OTHER, OTHER)
    found = _refused(home_at, place / "home")
    assert "mealkit runs as root" in found.message
    assert "MEALKIT_HOME" in found.hint
    assert "sudo -H" in found.hint
    _refused(home_at, place / "home" / "below" / "it")


@as_root
def test_a_link_of_another_user_is_refused(place):
    """On the way to a home, wherever it leads now."""
    (place / "real").mkdir()
    (place / "sticky").mkdir()
    (place / "sticky").chmod(0o1777)
    link = place / "sticky" / "home"
    link.symlink_to(place / "real")
    home_at(link)
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    _refused(home_at, link)
    _refused(home_at, link / "below")
    again = place / "again"
    again.symlink_to("sticky/home")
    _refused(home_at, again)


@as_root
def test_another_user_has_a_home_of_his_own_below_roots_folders(place):
    """And none in that of a third one."""
    (place / "sticky").mkdir()
    (place / "sticky").chmod(0o1777)
    assert _as_user(OTHER, lambda: home_at(place / "sticky" / "mine")) == ""
    assert _mode(place / "sticky" / "mine") == 0o700
    (place / "sticky" / "theirs").mkdir()
    os.chown(place / "sticky" / "theirs", 4242, 4242)
    said = _as_user(OTHER, lambda: home_at(place / "sticky" / "theirs"))
    assert "HOME_UNSAFE" in said
    assert "user 4242" in said


@as_root
def test_what_lies_in_a_home_cannot_be_read_by_others(place):
    """Whatever the files' own modes are: containers need them to be readable."""
    home = home_at(place / "home")
    home.files.mkdir()
    (home.files / "weights").write_text("private")
    (home.files / "weights").chmod(0o444)
    assert "PermissionError" in _as_user(OTHER, (home.files / "weights").read_text)


@as_root
def test_a_group_of_one_is_no_other_user(place):
    """Where users have groups of their own, what they make may be writable by the group."""
    name = next(user.pw_name for user in pwd.getpwall() if user.pw_uid == 1)
    own = pwd.getpwnam(name).pw_gid
    assert not grp.getgrgid(own).gr_mem
    (place / "above").mkdir()
    os.chown(place / "above", 1, own)
    (place / "above").chmod(0o775)
    assert _as_user(1, lambda: home_at(place / "above" / "home")) == ""
    os.chown(place / "above", 0, 12345)
    (place / "above").chmod(0o775)
    assert "HOME_UNSAFE" in _as_user(1, lambda: home_at(place / "above" / "home"))


def test_a_folder_of_temporary_files_may_be_shared_but_not_open(place, monkeypatch):
    """In a folder without the sticky bit, others replace what is made there."""
    (place / "tmp").mkdir()
    (place / "tmp").chmod(0o777)
    monkeypatch.setenv("TMPDIR", str(place / "tmp"))
    found = _refused(home_at, place / "home")
    assert found.where == str(place / "tmp")
    (place / "tmp").chmod(0o1777)
    home_at(place / "home")
    require_own(place / "tmp", shared=True)


def test_a_home_that_cannot_be_made_is_left_to_those_who_write_there(place):
    """A file in its place, links in a circle, and the home of nobody."""
    (place / "file").write_text("")
    make_own(place / "file" / "home")
    (place / "circle").symlink_to("circle")
    with pytest.raises(MealkitError):
        make_own(place / "circle")
    with pytest.raises(MealkitError, match="USAGE"):
        home_at(Path("~nobody-here/home"))


def test_the_verbs_refuse_an_unsafe_home(place):
    """As a problem with an owner, before anything is read from it."""
    (place / "home").mkdir()
    (place / "home").chmod(0o777)
    done = subprocess.run(
        [sys.executable, "-m", "mealkit", "--home", place / "home", "images"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 6
    assert "error[HOME_UNSAFE]" in done.stderr

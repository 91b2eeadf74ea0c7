"""What is asked of a container is checked before any client is asked."""

import signal
from pathlib import Path

import pytest

from mealkit.containers.container import Container, Exit, LoadedImage, Mount, RunSpec
from mealkit.errors import MealkitError


def spec(**changes):
    given = {"name": "kit", "kit": "a:1", "recipe": "r", "content": LoadedImage("a:1")}
    return RunSpec(**(given | {"container_port": 8000} | changes))


@pytest.mark.parametrize("name", ["", ".a", "-a", "a/b", "..", "a b", "é", "a\n", "x" * 129])
def test_a_name_that_no_client_takes_is_refused(name):
    """It also becomes a folder's name."""
    with pytest.raises(MealkitError, match="USAGE"):
        spec(name=name)


@pytest.mark.parametrize(
    "ports",
    [{"host_port": -1}, {"host_port": 65536}, {"container_port": 0}, {"container_port": 65536}],
)
def test_a_port_that_there_is_not_is_refused(ports):
    """A host's port of 0 is any free one."""
    assert spec(host_port=0, container_port=65535).host_port == 0
    with pytest.raises(MealkitError, match="USAGE"):
        spec(**ports)


@pytest.mark.parametrize("target", ["", "/", "models", "/a/../b", "../a", "//"])
def test_a_mount_stands_at_an_absolute_path_below_the_root(target):
    """Nothing climbs out of it."""
    with pytest.raises(MealkitError, match="CLIENT_REFUSED"):
        Mount(Path("/x"), target)


def test_a_source_that_others_may_not_read_is_refused_with_the_command(tmp_path):
    """The kit's user is not its owner."""
    source = tmp_path / "weights"
    with pytest.raises(MealkitError, match=r"CLIENT_REFUSED.*cannot be mounted"):
        Mount(source, "/w").require_readable()
    source.write_text("")
    source.chmod(0o640)
    with pytest.raises(MealkitError, match=r"mode 0640") as caught:
        Mount(source, "/w").require_readable()
    assert caught.value.problems[0].hint == f"chmod o+r {source}"
    source.chmod(0o644)
    Mount(source, "/w").require_readable()


@pytest.mark.parametrize(
    ("code", "name"),
    [(0, None), (1, None), (128, None), (137, "SIGKILL"), (143, "SIGTERM"), (255, None)],
)
def test_an_exit_code_beyond_128_is_a_signal(code, name):
    """If there is one of that number."""
    found = Exit.of_code(code)
    assert (found.code, found.signal) == (code, name)


def test_a_signal_has_its_exit_code():
    """A real-time signal has a number instead of a name."""
    assert Exit.of_signal(signal.SIGKILL) == Exit(137, "SIGKILL")
    assert Exit.of_signal(40) == Exit(168, "signal 40")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (Exit(3), "exited with code 3"),
        (Exit(137, "SIGKILL"), "was ended by SIGKILL"),
        (Exit(137, "SIGKILL", out_of_memory=True), "more memory than its limit"),
        (Exit(), "ended, and"),
    ],
)
def test_an_end_is_told_by_what_helps_most(how, said):
    """Too little memory before the signal that it led to."""
    assert said in str(how)


@pytest.mark.parametrize(
    ("address", "url"), [("127.0.0.1", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")]
)
def test_the_address_of_a_container_is_a_url(address, url):
    """That of IPv6 stands in brackets; a container without a port has none."""
    assert Container("i", "n", "c", "k", "r", address, 8000, 0.0).url == url
    assert not Container("i", "n", "c", "k", "r", address, 0, 0.0).url

"""A sandbox is planned as data, and what cannot be is refused before anything starts."""

import os
import socket
from dataclasses import replace

import pytest

from mealkit.containers.container import LoadedImage, Mount, RunSpec, UnpackedRoot
from mealkit.containers.sandbox_plan import Namespaces, may_become, open_listener, plan
from mealkit.errors import MealkitError

ALLOWED = Namespaces(("unshare", "--pid"), ("unshare", "--mount"), own_users=False)


@pytest.fixture
def spec(tmp_path):
    """A spec of a root with nothing in it."""
    (tmp_path / "root").mkdir()
    content = UnpackedRoot(tmp_path / "root", ("/app",), {"A": "image", "B": "image"}, "/work")
    return RunSpec("kit", "a:1", "r", content, 8000, environment={"B": "spec"})


def test_the_variables_are_the_images_then_the_specs_then_mealkits(spec):
    """Nothing of the caller's environment is among them."""
    mine = replace(spec, environment={"B": "spec", "MEALKIT_PORT": "1", "LISTEN_PID": "7"})
    container, orders = plan(mine, 4000, ALLOWED)
    environment = orders["environment"]
    assert (environment["A"], environment["B"]) == ("image", "spec")
    assert (environment["MEALKIT_PORT"], environment["LISTEN_PID"]) == ("4000", "1")
    assert set(environment) == {
        *("PATH", "HOME", "A", "B", "MEALKIT_HOST", "MEALKIT_PORT", "LISTEN_FDS", "LISTEN_PID")
    }
    assert container.port == 4000


def test_only_a_kit_that_fetches_keeps_the_network(spec):
    """Any other has one of its own, with nothing in it."""
    _, alone = plan(spec, 1, ALLOWED)
    _, fetching = plan(replace(spec, fetches=True), 1, ALLOWED)
    assert (alone["own_network"], "--net" in alone["within"]) == (True, True)
    assert (fetching["own_network"], "--net" in fetching["within"]) == (False, False)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::1", "::1"), ("127.0.0.2", "127.0.0.2")],
)
def test_a_kit_that_listens_everywhere_is_reached_on_loopback(spec, host, expected):
    """Nobody can connect to the address of all addresses."""
    container, _ = plan(replace(spec, host_address=host), 1, ALLOWED)
    assert container.address == expected


def test_labels_of_mealkit_win(spec):
    """They tell which sandboxes are its own."""
    container, _ = plan(replace(spec, labels={"dev.mealkit.kit": "x", "a": "b"}), 1, ALLOWED)
    assert container.labels == {
        "a": "b",
        "dev.mealkit.kit": "a:1",
        "dev.mealkit.recipe": "r",
        "dev.mealkit.run": "kit",
    }


def test_a_hostname_is_no_longer_than_the_kernel_takes(spec):
    """A container's name may be."""
    _, orders = plan(replace(spec, name="x" * 100), 1, ALLOWED)
    assert orders["hostname"] == "x" * 63


def test_a_mounts_source_is_without_links(spec, tmp_path):
    """The sandbox's init would follow them in another root."""
    (tmp_path / "weights").write_text("")
    (tmp_path / "link").symlink_to("weights")
    mounts = (Mount(tmp_path / "link", "/w"),)
    _, orders = plan(replace(spec, mounts=mounts), 1, ALLOWED)
    assert orders["mounts"] == [(str(tmp_path / "weights"), "/w")]


def test_what_is_no_root_with_an_entrypoint_is_refused(spec, tmp_path):
    """A loaded image, a missing folder, nothing to start, a source that is not there."""
    for changed in (
        {"content": LoadedImage("a:1")},
        {"content": UnpackedRoot(tmp_path / "none", ("/app",))},
        {"content": UnpackedRoot(tmp_path / "root", ())},
        {"mounts": (Mount(tmp_path / "none", "/w"),)},
    ):
        with pytest.raises(MealkitError, match="CLIENT_REFUSED"):
            plan(replace(spec, **changed), 1, ALLOWED)


def test_the_socket_of_callers_listens_at_once():
    """On any free port, or on the one that is asked for, which nobody else gets then."""
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 5).close()
        with pytest.raises(MealkitError, match=f"PORT_TAKEN.*{port}"):
            open_listener("127.0.0.1", port)


def test_an_address_that_is_not_this_machines_is_refused():
    """It is not a port that is taken."""
    with pytest.raises(MealkitError, match="CLIENT_REFUSED"):
        open_listener("192.0.2.1", 0)


def test_nobody_becomes_a_user_that_this_namespace_lacks():
    """The last number is no user; root of the whole machine may become all others."""
    assert not may_become(2**32 - 1)
    assert may_become(os.getuid()) is (os.geteuid() == 0)

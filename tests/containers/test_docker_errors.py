"""Errors of Docker's SDK and of the daemons become problems with one line of reason."""

import docker.errors
import pytest
import requests

from mealkit.containers.docker_errors import ours, reason, refused
from mealkit.errors import MealkitError


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("Bind for 0.0.0.0:80 failed: port is already allocated", "PORT_TAKEN", ""),
        ("listen tcp4: bind: ADDRESS ALREADY IN USE", "PORT_TAKEN", ""),
        ("unable to find image 'x'", "IMAGE_NOT_FOUND", "run the command again"),
        ("all predefined address pools have been fully subnetted", "CLIENT_REFUSED", "prune"),
        ("the container name x is in use", "CONTAINER_EXISTS", ""),
        ("mounts denied: /x", "CLIENT_REFUSED", "--embedded"),
        ("unresolvable CDI devices nvidia.com/gpu=all", "CLIENT_REFUSED", "nvidia-ctk"),
    ],
)
def test_a_daemons_text_is_known_by_its_words(text, code, hint):
    """Whatever stands around them, in any case."""
    (found,) = refused("docker", "start x", 500, f"error: {text} (x)").problems
    assert found.code == code
    assert hint in (found.hint or "")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "CONTAINER_NOT_FOUND"), (500, "CLIENT_REFUSED")]
)
def test_an_unknown_text_is_sorted_by_its_status(status, code):
    """And told in full."""
    (found,) = refused("podman", "stop x", status, "something new").problems
    assert (found.code, "podman cannot stop x: something new" in found.message) == (code, True)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "x"), "the socket of its daemon does not exist"),
        (PermissionError(13, "x"), "may not use its socket"),
        (ConnectionRefusedError(111, "x"), "no daemon listens"),
        (OSError("first\nsecond"), "first"),
        (OSError("certificate verify failed: unknown"), "not trusted: unknown (ca.pem in DOCKER"),
        (OSError(), "OSError"),
    ],
)
def test_the_innermost_reason_is_told(error, said):
    """The SDK wraps it in an argument, in another error, and in another one."""
    wrapped = docker.errors.DockerException(requests.ConnectionError("outer", error))
    assert said in reason(wrapped)
    assert said in reason(error)


def test_errors_that_hold_each_other_end():
    """A chain may have a circle."""
    one, two = OSError("one"), OSError("two")
    one.__cause__, two.__cause__ = two, one
    assert reason(one) == "two"


def test_a_refusal_of_the_api_is_one_of_ours():
    """With its text on one line, and bounded."""
    response = requests.Response()
    response.status_code = 500
    with pytest.raises(MealkitError, match="CLIENT_REFUSED") as caught, ours("docker", "start x"):
        raise docker.errors.APIError("x", response, "a\nb " + "c" * 10_000)
    message = caught.value.problems[0].message
    assert "a b c" in message
    assert len(message) < 600


@pytest.mark.parametrize(
    "error",
    [
        docker.errors.DockerException("x"),
        requests.ConnectionError("x"),
        OSError("x"),
    ],
)
def test_a_daemon_that_cannot_be_reached_is_unavailable(error):
    """Whichever library says so."""
    said = r"CLIENT_UNAVAILABLE.*docker cannot list"
    with pytest.raises(MealkitError, match=said), ours("docker", "list"):
        raise error


def test_other_errors_pass():
    """They are faults of mealkit, or problems already."""
    with pytest.raises(ZeroDivisionError), ours("docker", "list"):
        raise ZeroDivisionError

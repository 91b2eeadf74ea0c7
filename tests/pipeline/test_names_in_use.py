"""What a run needs is looked at before anything is built."""

import socket

import pytest
from fakes.little import Heard

from mealkit.errors import MealkitError
from mealkit.pipeline.run.run_request import RunRequest
from mealkit.pipeline.run.running import run_kit


def test_a_taken_port_is_found_before_a_kit_is_locked(kit, home):
    """The kit has no lock, so it states its needs only after the build."""
    heard = Heard()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(MealkitError) as raised:
            run_kit(RunRequest(str(kit), client="sandbox", port=port), home, heard)
    (found,) = raised.value.problems
    assert (found.code, found.owner, found.where) == ("PORT_TAKEN", "caller", "--port")
    assert str(port) in found.message
    assert heard.phases == []
    assert not (kit / "kit.lock").exists()


def test_a_client_that_does_not_work_is_found_before_a_kit_is_locked(kit, home, monkeypatch):
    """Nothing is resolved or built for an engine that cannot be reached."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    heard = Heard()
    with pytest.raises(MealkitError) as raised:
        run_kit(RunRequest(str(kit), client="docker"), home, heard)
    (found,) = raised.value.problems
    assert (found.code, found.owner) == ("CLIENT_UNAVAILABLE", "platform")
    assert "DOCKER_HOST" in found.hint
    assert heard.phases == []
    assert not (kit / "kit.lock").exists()

"""The front in podman of root, whose networks differ from Docker's."""

import http.client
import json
from contextlib import closing

import pytest
from fakes.fronts import deployed

pytestmark = [pytest.mark.podman, pytest.mark.online, pytest.mark.xdist_group("podman")]


def test_podman_keeps_the_address_too(front_home, running_engine):
    """A switch moves the requests, and closes no connection."""
    with (
        deployed(running_engine("podman"), front_home) as made,
        closing(http.client.HTTPConnection("127.0.0.1", made.port, timeout=60)) as caller,
    ):
        for name in ("one", "two"):
            made.front.route(made.start(name))
            caller.request("GET", "/")
            assert json.loads(caller.getresponse().read())["revision"] == name
            assert caller.sock is not None

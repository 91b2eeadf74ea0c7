"""The front on a real Docker: upgrades under load, kills, restarts, and what HTTP asks of it."""

import http.client
import json
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import docker
import pytest
from fakes.container_engines import Engine
from fakes.fronts import Deployment, deployed
from fakes.load import Load

from mealkit.containers.container import Restart
from mealkit.containers.front_config import CONFIG_FOLDER
from mealkit.errors import MealkitError
from mealkit.paths import USER_ID
from mealkit.pipeline.home import Home
from mealkit.pipeline.image.front_image import open_front
from mealkit.progress import SILENT

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("front")]


@pytest.fixture(scope="module")
def deployment(front_home: Home) -> Iterator[Deployment]:
    with deployed(Engine("docker"), front_home) as made:
        yield made


@pytest.fixture(scope="module")
def first(deployment: Deployment) -> str:
    """The target of a revision that runs as long as the tests, and gets the requests at first."""
    target = deployment.start("one")
    deployment.front.route(target)
    return target


@pytest.fixture(scope="module")
def second(deployment: Deployment) -> str:
    """The target of another revision that runs, which is started again after a restart."""
    return deployment.start("two", Restart.UNLESS_STOPPED)


@pytest.fixture
def caller(deployment: Deployment, first: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to the front, which sends requests to the first revision."""
    deployment.front.route(first)
    with closing(http.client.HTTPConnection("127.0.0.1", deployment.port, timeout=60)) as opened:
        yield opened


def asked(caller: http.client.HTTPConnection, path: str, **options) -> http.client.HTTPResponse:
    caller.request("GET", path, **options)
    return caller.getresponse()


def test_no_request_is_lost_while_revisions_are_replaced(deployment, first, until):
    """Callers that keep connections, that open new ones, and streams notice no switch."""
    switches = int(os.environ.get("MEALKIT_TEST_SWITCHES", "2"))
    load, front, target = Load("127.0.0.1", deployment.port), deployment.front, first

    def goes_on(condition) -> None:
        until(lambda: load.failed or condition())
        assert load.failed == []

    with load.running():
        for number in range(switches):
            seen = load.streamed.total()
            goes_on(lambda seen=seen: load.streamed.total() > seen + 2)
            name = f"switch-{number}"
            new = deployment.start(name)
            front.route(new)
            assert front.is_serving(new)
            goes_on(lambda name=name: load.answered[name] > 20)
            goes_on(lambda old=target: front.sessions(old) == 0)
            if target != first:
                deployment.remove(target)
            target = new
        front.route(first)
        goes_on(lambda old=target: front.sessions(old) == 0)
        deployment.remove(target)
    assert load.failed == []
    assert load.reconnected == 0
    assert all(load.answered[f"switch-{number}"] for number in range(switches))
    assert front.totals(first).answers[3:] == (0, 0)
    print(f"{load.answered.total()} answers, {load.streamed.total()} streams")


def test_requests_pass_unchanged(caller):
    """The front adds no headers, and keeps those of callers, their ids and keys too."""
    sent = {"X-Request-Id": "id-1", "Authorization": "Bearer k", "X-Forwarded-For": "10.0.0.1"}
    got = json.loads(asked(caller, "/", headers=sent).read())["headers"]
    host = {"host": f"127.0.0.1:{caller.port}", "accept-encoding": "identity"}
    assert got == {**{name.lower(): value for name, value in sent.items()}, **host}


def test_a_connection_outlives_that_of_its_revision(caller):
    """``Connection: close`` of a revision that stops ends nothing for the caller."""
    for path in ("/close", "/"):
        answer = asked(caller, path)
        assert answer.headers["Connection"] is None
        answer.read()
        assert caller.sock is not None


def test_large_heads_and_bodies_pass(caller):
    """What the gateway accepts is not refused in front of it: heads of 60 KB, 250 lines, bodies."""
    assert asked(caller, "/", headers={"X-Long": "x" * 60_000}).read()
    assert asked(caller, "/", headers={f"X-{number}": "x" for number in range(250)}).read()
    caller.request("POST", "/", b"x" * 20_000_000)
    assert json.loads(caller.getresponse().read())["bytes"] == 20_000_000


def test_an_upload_waits_for_permission(deployment, caller):
    """``Expect: 100-continue`` is answered before the body is sent."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as opened:
        opened.sendall(head)
        assert opened.recv(1000).startswith(b"HTTP/1.1 100 ")
        opened.sendall(b"abc")
        assert opened.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_an_old_caller_is_answered(deployment, caller):
    """HTTP/1.0 is answered, and its connection closed."""
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as opened:
        opened.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = b"".join(iter(lambda: opened.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b"}")


def test_a_stream_goes_on_where_it_began(deployment, first, second, caller):
    """The first event comes at once; the stream ends at its revision, after the switch."""
    stream = asked(caller, "/held")
    assert stream.readline() == b"data: one\n"
    assert deployment.front.sessions(first) == 1
    deployment.front.route(second)
    assert deployment.ask()[1]["revision"] == "two"
    assert deployment.front.sessions(first) == 1
    deployment.front.route(first)
    deployment.ask("/go")
    assert stream.read().endswith(b"data: [DONE]\n\n")


def test_a_caller_that_has_gone_ends_its_request(deployment, caller, until):
    """The revision learns that nobody waits any more, and need not go on."""
    stream = asked(caller, "/held")
    assert stream.readline()
    with socket.create_connection(("127.0.0.1", deployment.port), timeout=60) as opened:
        opened.sendall(b"GET /gone HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: deployment.front.sessions(deployment.revisions[0] + ":8000") == 2)
    assert stream.read().endswith(b"data: [DONE]\n\n")


def test_a_request_is_never_sent_twice(deployment, first, caller):
    """A revision that closes the connection gets the request once; the caller gets a problem."""
    before = deployment.front.totals(first).answer_errors
    answer = asked(caller, "/crash", headers={"X-Request-Id": "id-2"})
    problem = json.loads(answer.read())["error"]
    assert (answer.status, problem["code"]) == (502, "REVISION_AWAY")
    assert problem["request_id"] == answer.headers["X-Request-Id"] == "id-2"
    assert json.loads(asked(caller, "/crashes").read())["crashes"] == 1
    assert deployment.front.totals(first).answer_errors > before


def test_without_a_revision_callers_are_told_to_wait(deployment, caller):
    """The answer has the form of the gateway's problems, and says when to try again."""
    deployment.front.route(None)
    answer = asked(caller, "/", headers={"X-Request-Id": 'odd"id'})
    problem = json.loads(answer.read())["error"]
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (problem["code"], problem["owner"]) == ("REVISION_AWAY", "platform")
    assert problem["request_id"] == 'odd"id'
    assert asked(caller, "/").headers["X-Request-Id"]
    assert deployment.front.state().stated is None


def test_callers_wait_while_a_revision_starts_again(deployment, second, caller):
    """A request during a restart is answered by the same revision, never by another one."""
    deployment.front.route(second)
    with closing(docker.from_env()) as engine:
        container = engine.containers.get(second.partition(":")[0])
        container.stop(timeout=0)
        other = deployment.start("other")
        caller.request("GET", "/")
        container.start()
        assert json.loads(caller.getresponse().read())["revision"] == "two"
    deployment.remove(other)


def test_a_front_comes_back_with_its_target(deployment, first, caller):
    """A killed front starts with what its configuration states."""
    port = deployment.port
    with closing(docker.from_env()) as engine:
        engine.containers.get(deployment.spec.container).kill()
    assert not deployment.front.state().is_running
    with pytest.raises(MealkitError) as error:
        deployment.front.route(first)
    assert error.value.problems[0].code == "FRONT_FAILED"
    assert deployment.front.ensure().port == port
    assert deployment.front.is_serving(first)
    assert deployment.ask()[1]["revision"] == "one"


def test_a_kill_between_configuration_and_front_is_repaired(deployment, first, caller):
    """The next call brings the running front to what it must be, whichever way."""
    front = deployment.front
    front._write(None)
    assert front.is_serving(first)
    front.route(first)
    assert front.state().stated == first
    front._control.switch(None, ["r1"])
    assert not front.is_serving(first)
    front.route(first)
    assert front.is_serving(first)


def test_a_slot_is_used_again_after_many_revisions(deployment, first, caller):
    """If every slot was used, the idlest gets the next revision, and counts from zero."""
    front = deployment.front
    for number, slot in enumerate(front._control.slots().values(), start=1):
        if slot.is_new:
            front._control.prepare(slot.name, "127.0.0.2", number)
    assert asked(caller, "/").read()
    late = deployment.start("late")
    front.route(late)
    assert front.is_serving(late)
    assert front.totals(late).requests == 0
    assert json.loads(asked(caller, "/").read())["revision"] == "late"
    assert front.totals(late).answers == (0, 1, 0, 0, 0)
    front.route(first)
    deployment.remove(late)


def test_starts_at_the_same_time_make_one_front(deployment, first, caller):
    """Processes that start the same front wait for each other, and find it."""
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: deployment.front.ensure(), range(4)))
    assert {(state.is_running, state.port) for state in states} == {(True, deployment.port)}


def test_the_front_has_no_rights(deployment):
    """It is a user without capabilities, on a file system that it cannot change."""
    with closing(docker.from_env()) as engine:
        config = engine.containers.get(deployment.spec.container).attrs
    host = config["HostConfig"]
    assert config["Config"]["User"] == f"{USER_ID}:{USER_ID}"
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Privileged"]) == (True, ["ALL"], False)
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert [mount["RW"] for mount in config["Mounts"] if mount["Destination"] == CONFIG_FOLDER] == [
        False
    ]


def test_a_revision_has_no_port_of_its_own(deployment, second):
    """It can be called through the front only, and starts again as the deployment says."""
    name = second.partition(":")[0]
    assert deployment.client.state(name).port == 0
    with closing(docker.from_env()) as engine:
        host = engine.containers.get(name).attrs["HostConfig"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert not host["PortBindings"]


def test_a_missing_revision_is_refused(deployment, first, caller):
    """A target that does not run here changes nothing."""
    with pytest.raises(MealkitError) as error:
        deployment.front.route("nobody:8000")
    assert error.value.problems[0].code == "CONTAINER_NOT_FOUND"
    assert deployment.front.is_serving(first)


def test_a_foreign_container_is_left_alone(deployment, tmp_path):
    """A front does not take over what has its name."""
    spec = replace(deployment.spec, name=f"{deployment.spec.name}-2")
    with closing(docker.from_env()) as engine:
        foreign = engine.containers.create(deployment.image, name=spec.container)
        try:
            front = open_front(
                deployment.client,
                replace(spec, network=f"{spec.network}-2"),
                deployment.home,
                SILENT,
            )
            with pytest.raises(MealkitError) as error:
                front.ensure()
            assert error.value.problems[0].code == "FRONT_FAILED"
            assert spec.container in error.value.problems[0].message
        finally:
            foreign.remove()
            front.remove()

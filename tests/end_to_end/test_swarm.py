"""A rolling update under load: Docker Swarm replaces two replicas, and every request is answered."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from fakes.served import PATIENCE_SECONDS

pytestmark = [pytest.mark.docker, pytest.mark.online, pytest.mark.xdist_group("demo")]

SECOND = 1_000_000_000
GRACE_SECONDS = 40

# Callers that keep their connections, as clients do, inside the service's network: it publishes no
# port. At the end they print how often which status came.
CALLERS = """
import collections, http.client, json, signal, sys, threading
ends, ended = collections.Counter(), threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
body = json.dumps({"model": "all-MiniLM-L6-v2", "input": "A kit that is replaced."})

def call():
    connection = http.client.HTTPConnection(sys.argv[1], 8000, timeout=60)
    while not ended.wait(0.02):
        try:
            connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            data = answer.read()
            ends["answered" if answer.status == 200 else data.decode()] += 1
        except OSError as error:
            connection.close()
            ends[repr(error)] += 1

threads = [threading.Thread(target=call) for _ in range(3)]
for thread in threads:
    thread.start()
ended.wait()
for thread in threads:
    thread.join()
print(json.dumps(ends))
"""


def wait_for(condition: Callable[[], Any], what: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.2)
    raise AssertionError(what())


@pytest.fixture
def swarm(sdk) -> Iterator[None]:
    """The engine as a swarm of one; it is none afterwards, if it was none before."""
    if sdk.info()["Swarm"]["LocalNodeState"] == "active":
        yield
        return
    bridges = {network.id for network in sdk.networks.list(names=["docker_gwbridge"])}
    sdk.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")
    yield
    sdk.swarm.leave(force=True)
    for network in sdk.networks.list(names=["docker_gwbridge"]):
        if network.id not in bridges:
            network.remove()


@pytest.fixture
def service(sdk, swarm, demo_tag, unique) -> Iterator[Any]:
    """Two replicas of the example kit, which start before they replace others, in a network."""
    from docker.types import EndpointSpec, ServiceMode, UpdateConfig  # noqa: PLC0415

    network = sdk.networks.create(unique("net"), driver="overlay", attachable=True)
    service = sdk.services.create(
        demo_tag,
        name=unique("service"),
        mode=ServiceMode("replicated", 2),
        networks=[network.name],
        # The engine's names instead of its virtual address, which needs a module of the kernel.
        endpoint_spec=EndpointSpec(mode="dnsrr"),
        update_config=UpdateConfig(order="start-first", monitor=SECOND),
        stop_grace_period=GRACE_SECONDS * SECOND,
        env=["MEALKIT_AUTH=off", "MEALKIT_HOSTS=*"],
    )
    yield service, network.name
    service.remove()

    def is_removed() -> bool:
        with suppress(Exception):
            network.remove()
            return True
        return False

    wait_for(is_removed, lambda: network.attrs)


def test_a_rolling_update_loses_no_request(sdk, service, demo_tag, started):
    """The image's own health check tells the swarm when a replica answers; an old one answers until
    its callers have gone."""
    replicas, network = service

    def states() -> list[tuple[str, str, str]]:
        return [
            (task["ID"], task["DesiredState"], task["Status"]["State"]) for task in replicas.tasks()
        ]

    def running() -> set[str]:
        return {name for name, _, state in states() if state == "running"}

    first = wait_for(lambda: running() if len(running()) == 2 else None, replicas.tasks)
    callers = started(
        demo_tag,
        entrypoint=["/usr/bin/python3.13", "-c", CALLERS, replicas.name],
        network=network,
    )
    replicas.reload()
    replicas.force_update()

    def is_replaced() -> bool:
        ended = {name for name, _, state in states() if state in {"shutdown", "complete"}}
        return first <= ended and len(running() - first) == 2

    wait_for(is_replaced, replicas.tasks)
    callers.stop(timeout=int(PATIENCE_SECONDS))
    ends = json.loads(callers.logs())
    assert ends.pop("answered") > 100
    assert ends == {}
